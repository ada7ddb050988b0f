"""Every problem that is raised is declared with its status and meaning, and every declared problem is raised."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from crm_contracts.problems import PROBLEMS
from crm_kit.http.openapi import MEANINGS
from crm_kit.http.problem_members import WITH_MEMBERS, OtherProblem
from crm_kit.http.problems import Problem

CHECKOUT = Path(__file__).resolve().parents[2]
DECLARATIONS = CHECKOUT / "shared/contracts/src/crm_contracts/problems.py"
SLUG = re.compile("[a-z]+(-[a-z]+)*")
SLUG_AT = {"DomainError": 0, "InvalidToken": 0, "Refused": 0, "InvalidValue": 1}
"""The position of the slug among the arguments of the problems' constructors."""
MEMBERS_AT = 3
"""The position of the members among the arguments of `DomainError`."""
ALL_MODELS: tuple[type[Problem], ...] = (OtherProblem, *WITH_MEMBERS.values())
IN_THE_GATEWAY_ONLY = {408, 431, 500, 502}
"""Statuses that no operation documents. 408 and 431 occur before any operation; proxies cause the others."""


def sources() -> Iterator[ast.Module]:
    for path in sorted(CHECKOUT.glob("*/*/src/**/*.py")):
        if path != DECLARATIONS:
            yield ast.parse(path.read_text(encoding="utf-8"))


def raised(tree: ast.Module) -> Iterator[str]:
    """Return the slugs that are passed to constructors of problems as literals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = SLUG_AT.get(ast.unparse(node.func).rpartition(".")[2])
            if place is not None and len(node.args) > place:
                slug = node.args[place]
                choices = [slug.body, slug.orelse] if isinstance(slug, ast.IfExp) else [slug]
                texts = (part.value for part in choices if isinstance(part, ast.Constant))
                # Other errors with the same names start with a sentence.
                yield from (text for text in texts if isinstance(text, str) and SLUG.fullmatch(text))


def parts(value: ast.expr, near: ast.AST) -> Iterator[str]:
    """Return the names in a literal of members, also in those that a variable of the same function has."""
    match value:
        case ast.Dict():
            for key, inner in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value)
                else:
                    yield from parts(inner, near)
        case ast.IfExp():
            yield from parts(value.body, near)
            yield from parts(value.orelse, near)
        case ast.Name():
            for line in ast.walk(near):
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == value.id:
                    yield from parts(line.value, near)


def members_sent(tree: ast.AST) -> Iterator[tuple[set[str], str]]:
    """Return the possible slugs of each problem that has members, and the name of each member. No slug: it is not a literal."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call):
                continue
            sent = [one.value for one in call.keywords if one.arg == "members"]
            if ast.unparse(call.func).rpartition(".")[2] == "DomainError" and len(call.args) > MEMBERS_AT:
                sent.append(call.args[MEMBERS_AT])
            slugs = (
                {text for node in ast.walk(call.args[0]) for text in constants(node)} if sent and call.args else set()
            )
            yield from ((slugs & PROBLEMS.keys(), name) for value in sent for name in parts(value, function))


def constants(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def undeclared(tree: ast.AST) -> Iterator[str]:
    """Return members of problems that OpenAPI does not show for the status of the problem."""
    for slugs, name in members_sent(tree):
        models: list[type[Problem]] = [WITH_MEMBERS.get(PROBLEMS[slug].status, OtherProblem) for slug in slugs]
        # A problem with a computed slug may have any status.
        if not (all if models else any)(name in model.model_fields for model in models or ALL_MODELS):
            yield f"{' or '.join(sorted(slugs)) or 'a problem'} sends {name}"


def words(tree: ast.Module) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_every_problem_that_is_raised_is_declared() -> None:
    found = {slug for tree in sources() for slug in raised(tree)}
    assert len(found) > 100
    assert found - PROBLEMS.keys() == set()


def test_every_declared_problem_is_raised_somewhere() -> None:
    assert PROBLEMS.keys() - {text for tree in sources() for text in words(tree)} == set()


def test_a_problem_has_a_slug_a_status_of_errors_and_a_sentence() -> None:
    for slug, problem in PROBLEMS.items():
        assert SLUG.fullmatch(slug), slug
        assert problem.status >= 400
        assert problem.meaning.endswith("."), slug


def test_openapi_documents_the_status_of_every_problem_of_an_operation() -> None:
    assert {problem.status for problem in PROBLEMS.values()} - MEANINGS.keys() <= IN_THE_GATEWAY_ONLY


def test_openapi_shows_every_member_that_a_problem_sends() -> None:
    trees = list(sources())
    assert len({name for tree in trees for _, name in members_sent(tree)}) > 15
    assert sorted({line for tree in trees for line in undeclared(tree)}) == []


def test_a_planted_member_that_is_not_declared_is_found() -> None:
    planted = """
def refuse(more):
    members = {"allowed": [], "moon": 1}
    raise DomainError("illegal-transition", "No.", members=members if more else {"tide": 2, **members})
def refuse_again():
    raise DomainError("validation", "No.", (), {"limit": 1, "star": 2})
"""
    found = {"illegal-transition sends moon", "illegal-transition sends tide", "validation sends star"}
    assert set(undeclared(ast.parse(planted))) == found
