"""House rules that no linter has: no vague names of rooms, one clock, no unreachable states."""

import ast
import re
import tokenize
from collections.abc import Iterator
from importlib import import_module
from io import StringIO
from pathlib import Path

from crm_kit.lifecycle import Lifecycle
from crm_kit.process.runtime import Service
from crm_kit.store.record import Stateful

CHECKOUT = Path(__file__).resolve().parents[2]
NAMELESS = {"utils.py", "util.py", "helpers.py", "service.py", "repository.py", "base.py", "common.py", "misc.py"}
KNOWN_TO_THE_KIT = {"user", "team", "organization", "order", "note"}
"""Words with another meaning in the kit. Users, teams and the organisation are in every service's directory. Lists have
an order, and the kit notes things."""
DATABASE_CLOCK = re.compile(r"\b(now|clock_timestamp|statement_timestamp)\(\)|\bcurrent_(timestamp|date|time)\b", re.I)


def sources() -> list[Path]:
    return sorted(path for path in CHECKOUT.glob("*/*/src/**/*.py") if "__pycache__" not in path.parts)


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """Return every text of a module except its docstrings."""
    tree = ast.parse(module.read_text())
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken:
            yield node.lineno, node.value


def names(module: Path) -> Iterator[str]:
    """Return the names that a module defines."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_every_file_says_what_lives_in_it() -> None:
    assert [str(path) for path in sources() if path.name in NAMELESS] == []


def test_no_statement_asks_the_database_for_the_time() -> None:
    found = [
        str(path.relative_to(CHECKOUT)) for path in sources() for _, text in texts(path) if DATABASE_CLOCK.search(text)
    ]
    # Once, so that a single wrong clock reading does not delete data for good.
    assert found == ["shared/kit/src/crm_kit/worker/housekeeping.py"]


def test_a_planted_database_clock_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text('"""Speaks of now()."""\n\nSQL = f"update lead set seen = now() where id = {1}"\n')
    assert [line for line, text in texts(planted) if DATABASE_CLOCK.search(text)] == [3]


def test_the_kit_names_nothing_after_the_domain(package: str) -> None:
    words = {entity.entity() for entity in import_module(f"{package}.app").SERVICE.entities} - KNOWN_TO_THE_KIT
    found = [
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path in sources()
        if "crm_kit" in path.parts
        for name in [path.stem, *names(path)]
        if named_after(words, name)
    ]
    assert found == []


def named_after(words: set[str], name: str) -> set[str]:
    """Return the entities in the name of a module, class or function: ``price_list`` in ``PriceListRows``."""
    snake = f"_{re.sub(r'(?<=[a-z])(?=[A-Z])', '_', name).lower()}_"
    return {word for word in words if f"_{word}_" in snake or f"_{word}s_" in snake}


def test_planted_names_of_entities_are_found() -> None:
    words = {"lead", "price_list", "sales_contract"}
    planted = ("LeadRows", "price_lists_of", "SalesContract", "leading", "list_price")
    assert [named_after(words, name) for name in planted] == [
        {"lead"},
        {"price_list"},
        {"sales_contract"},
        set(),
        set(),
    ]


IGNORED = re.compile(r"#\s*(?:noqa|type: ignore|pragma|nosec)(?P<codes>[:\[][^#-]*?)?\s*(?:[#-]\s*(?P<reason>.*))?$")


def unexplained(module: Path) -> list[int]:
    """Return the lines of a module that disable a check without a reason."""
    found = []
    for token in tokenize.generate_tokens(StringIO(module.read_text()).readline):
        if token.type == tokenize.COMMENT and (silenced := IGNORED.search(token.string)):
            said, codes = silenced["reason"], silenced["codes"]
            if not said or not codes:
                found.append(token.start[0])
    return found


def test_whatever_silences_a_check_says_why() -> None:
    modules = [path for path in CHECKOUT.glob("**/*.py") if not {".venv", "__pycache__"} & set(path.parts)]
    assert {str(p.relative_to(CHECKOUT)): lines for p in modules if (lines := unexplained(p))} == {}


def test_a_planted_ignore_without_a_reason_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "a = 1  # noqa: E501\nb = 2  # noqa: E501  # a word cannot be cut\nc = 3  # type: ignore[misc]\n"
    )
    assert unexplained(planted) == [1, 3]


def statuses_set(module: Path) -> Iterator[int]:
    """Return the lines on which a module assigns a status."""
    for node in ast.walk(ast.parse(module.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Attribute) and one.attr in ("status", "status_reason"):
                    yield one.lineno


def test_only_moves_of_a_lifecycle_set_a_status() -> None:
    found = {str(path.relative_to(CHECKOUT)) for path in sources() if any(statuses_set(path))}
    assert found == {"shared/kit/src/crm_kit/store/record.py"}


def test_a_planted_status_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("deal.status = 'won'\nused = deal.status\ndeal.status, deal.status_reason = 'won', 'won'\n")
    assert sorted(set(statuses_set(planted))) == [1, 3]


def lifecycles(service: Service) -> list[tuple[str, Lifecycle]]:
    return [(e.entity(), e.lifecycle) for e in service.entities if issubclass(e, Stateful)]


def unreachable(lifecycle: Lifecycle) -> set[str]:
    """Return the states that no sequence of commands and timed moves reaches from the initial state."""
    reached, waiting = {lifecycle.initial}, [lifecycle.initial]
    while waiting:
        state = waiting.pop()
        for action in [*lifecycle.actions(state), *lifecycle.follows(state)]:
            for reason in lifecycle.reasons(action):
                after = "/".join(lifecycle.after(action, state, reason))
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
    return set(lifecycle.states) - reached


def test_commands_lead_to_every_status(service: Service) -> None:
    assert {name: unreachable(lifecycle) for name, lifecycle in lifecycles(service) if unreachable(lifecycle)} == {}


def test_a_planted_dead_state_is_found() -> None:
    planted = Lifecycle("open/new", {"close": ({"open/*"}, "closed/closed"), "melt": ({"frozen/frozen"}, "open/new")})
    assert unreachable(planted) == {"frozen/frozen"}


def test_every_move_has_its_route(service: Service, package: str) -> None:
    """Without a route, ``allowed_actions`` would list a command that no client can send."""
    from crm_kit.testing.databases import settings_for

    document = import_module(f"{package}.main").app(settings_for(service, "postgresql://nowhere/nothing")).openapi()
    operations = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    missing = {
        f"{action}_{name}"
        for name, lifecycle in lifecycles(service)
        for action in lifecycle.moves
        if f"{action.replace('-', '_')}_{name}" not in operations
    }
    assert missing == set()


def test_a_main_reads_as_a_table_of_contents(package: str) -> None:
    [main] = CHECKOUT.glob(f"services/*/src/{package}/main.py")
    assert len(main.read_text().splitlines()) <= 50


def test_no_two_indexes_share_a_name(service: Service) -> None:
    names = [str(index.name) for table in service.metadata.tables.values() for index in table.indexes]
    assert sorted(set(names)) == sorted(names)
