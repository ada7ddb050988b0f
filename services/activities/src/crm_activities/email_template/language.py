"""Templates of e-mails without a database: their language, and what they make of values.

The language is that of Jinja, without whatever repeats, computes or calls: variables, three filters, and ``if``. So the length
of a template bounds the time that it takes and the text that it makes. What it may name is known, so its mistakes are found when
it is saved.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from crm_contracts.sentences import Listed, Sentence, said
from crm_kit.errors import InvalidValue

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "recipient": ("name", "address"),
    "sender": ("name", "address"),
    "record": ("type", "name", "id"),
    "organisation": ("name",),
}
PLACES: Final[Mapping[str, str]] = {
    "recipient": "/parties",
    "sender": "/sender",
    "record": "/regarding",
    "organisation": "",
}
"""The field of the request that would give the values of a group."""
FILTERS: Final[Mapping[str, int]] = {"default": 1, "upper": 0, "lower": 0}
"""The filters of the language, with the number of their arguments."""
MOST_TAGS: Final = 500
LONGEST_TAG: Final = 300
MOST_TOKENS: Final = 30
"""Words and signs in one tag, so that no brackets are deep."""
DEEPEST: Final = 10
"""How deep ``if`` may be in ``if``."""
LONGEST_VALUE: Final = 1000

Values = Mapping[str, Mapping[str, str | None]]


class Group(dict[str, str]):
    """The values of one group, such as ``recipient``. It knows its name."""

    def __init__(self, name: str, values: Mapping[str, str | None]) -> None:
        super().__init__({key: value[:LONGEST_VALUE] for key, value in values.items() if value})
        self.name = name


def _environment(*, html: bool) -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class OnlyGroups(SandboxedEnvironment):
        """An environment in which a dot reads the value of a group, and nothing of Python."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if not isinstance(obj, Group):
                return self.undefined(hint=attribute)
            return obj[attribute] if attribute in obj else self.undefined(hint=f"{obj.name}.{attribute}")

    return OnlyGroups(autoescape=html, undefined=StrictUndefined, cache_size=0)


def require_template(source: str | None, pointer: str) -> None:
    """Raise 422 with the pointer for a text that is no template: its syntax, or what it names."""
    from jinja2 import TemplateSyntaxError, nodes

    if not source:
        return
    try:
        _require_small(source, pointer)
        tree = _environment(html=False).parse(source)
    except TemplateSyntaxError as error:
        raise _invalid(
            pointer, said("line {line}: {problem}", line=error.lineno, problem=error.message or "")
        ) from None
    allowed = (
        nodes.Output,
        nodes.TemplateData,
        nodes.Name,
        nodes.Getattr,
        nodes.Const,
        nodes.If,
        nodes.Filter,
        nodes.Test,
        nodes.Compare,
        nodes.Operand,
        nodes.And,
        nodes.Or,
        nodes.Not,
    )
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, allowed):
            raise _invalid(
                pointer,
                said(
                    "line {line}: `{name}` is not part of the language",
                    line=node.lineno,
                    name=type(node).__name__.lower(),
                ),
            )
        if isinstance(node, nodes.Getattr):
            group = node.node.name if isinstance(node.node, nodes.Name) else ""
            if node.attr not in VARIABLES.get(group, ()):
                raise _unknown(pointer, f"{group}.{node.attr}")
        elif isinstance(node, nodes.Test) and (node.name != "defined" or node.args or node.kwargs):
            raise _invalid(pointer, said("line {line}: the only test is `is defined`", line=node.lineno))
        elif isinstance(node, nodes.Filter) and (len(node.args) != FILTERS.get(node.name) or node.kwargs):
            raise _invalid(
                pointer,
                said(
                    "line {line}: `{name}` is none of {names}", line=node.lineno, name=node.name, names=Listed(*FILTERS)
                ),
            )
        elif isinstance(node, nodes.Compare) and any(one.op not in ("eq", "ne") for one in node.ops):
            raise _invalid(pointer, said("line {line}: values are compared with == and != only", line=node.lineno))
    dotted = {id(node.node) for node in tree.find_all(nodes.Getattr)}
    for name in tree.find_all(nodes.Name):
        if id(name) not in dotted:
            raise _unknown(pointer, name.name)


def _require_small(source: str, pointer: str) -> None:
    """Raise 422 for tags that are too many, too long or too deep, before a parser that calls itself sees them."""
    tags = depth = tokens = length = 0
    beginning = False
    for line, kind, value in _environment(html=False).lex(source):
        if kind in ("variable_begin", "block_begin"):
            tags, tokens, length, beginning = tags + 1, 0, 0, kind == "block_begin"
        elif kind == "data" or kind.endswith("_end") or kind == "whitespace":
            continue
        else:
            tokens, length = tokens + 1, length + len(value)
            if beginning:
                depth += {"if": 1, "endif": -1}.get(value, 0)
                beginning = False
        if tags > MOST_TAGS:
            raise _invalid(pointer, said("it has more than {most} tags", most=MOST_TAGS))
        if tokens > MOST_TOKENS or length > LONGEST_TAG:
            raise _invalid(
                pointer,
                said(
                    "line {line}: a tag has at most {words} words and {characters} characters",
                    line=line,
                    words=MOST_TOKENS,
                    characters=LONGEST_TAG,
                ),
            )
        if depth > DEEPEST:
            raise _invalid(pointer, said("line {line}: `if` is at most {deepest} deep", line=line, deepest=DEEPEST))


def _invalid(pointer: str, reason: Sentence) -> InvalidValue:
    return InvalidValue(pointer, "invalid-template", said("Correct the template: {reason}.", reason=reason))


def _unknown(pointer: str, name: str) -> InvalidValue:
    known = [f"{group}.{one}" for group, names in VARIABLES.items() for one in names]
    return InvalidValue(
        pointer, "unknown-variable", said("{name} is no variable. Use one of {names}.", name=name, names=Listed(*known))
    )


def rendered(source: str, values: Values, *, html: bool) -> str:
    """Return the text of a checked template with the values in it; in HTML they are escaped.

    422 ``missing-variable``, with the pointer of the field that would give it, for a variable without a value that the template
    prints or compares. ``default`` and ``is defined`` take it.
    """
    from jinja2 import UndefinedError

    groups = {name: Group(name, values.get(name, {})) for name in VARIABLES}
    try:
        return _environment(html=html).from_string(source).render(groups)
    except UndefinedError as error:
        name = str(error)
        message = said(
            "The template needs {name}, which has no value here. Send it, or give the variable a default.", name=name
        )
        raise InvalidValue(PLACES[name.partition(".")[0]], "missing-variable", message) from None
