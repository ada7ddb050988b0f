"""The filter grammar: one tree for list queries, saved views, dynamic lists, rules and subscriptions.

    {"all": [{"field": "status", "op": "eq", "value": "open"},
             {"not": {"field": "age", "op": "between", "value": [25, 35]}}]}

Query parameters such as `?status=open&estimated_value.amount[gte]=1000&owner_id[in]=a,b` give the same tree. This module checks a
tree against the fields that may be filtered, and converts its values to Python values. It does not compile SQL.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from crm_contracts.sentences import said

from .filter_values import (
    FROM_JSON,
    FROM_TEXT,
    MAX_PATTERN,
    MAX_VALUES,
    OPS,
    Fields,
    FieldType,
    FilterError,
    FilterField,
    Op,
    is_pattern,
    plain_value,
    read_value,
)

__all__ = [
    "MAX_ALL_PATTERNS",
    "MAX_ALL_VALUES",
    "MAX_DEPTH",
    "MAX_PATTERN",
    "MAX_TERMS",
    "MAX_VALUES",
    "OPS",
    "RESERVED",
    "AllOf",
    "AnyOf",
    "FieldType",
    "Fields",
    "Filter",
    "FilterError",
    "FilterField",
    "Not",
    "Op",
    "Term",
    "as_json",
    "count_terms",
    "fields_of",
    "looks_inside",
    "parse_filter",
    "parse_query_params",
]

MAX_DEPTH: Final = 5
"""Levels of nested all, any and not."""
MAX_TERMS: Final = 50
MAX_ALL_VALUES: Final = 1000
"""Values of all terms of a filter together."""
MAX_ALL_PATTERNS: Final = 1000
"""Characters of all values of `contains` and `starts_with` in a filter together."""

RESERVED: Final = frozenset({"limit", "after", "sort", "q", "fields", "count"})
"""Query parameters of a list that are not filters."""


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(_Node):
    """One comparison."""

    field: str = Field(max_length=100, description="Name of a field that may be filtered.", examples=["status"])
    op: Op = Field(default=Op.EQ, description="Operator; which ones a field takes depends on its type.")
    value: Any = Field(
        description="A value of the field's type; two for `between`, several for `in` and `nin`, true or false for "
        "`is_null`.",
        examples=["open"],
    )


class AllOf(_Node):
    """Every part holds."""

    all: list["Filter"] = Field(min_length=1, max_length=MAX_TERMS, description="Parts that must all hold.")


class AnyOf(_Node):
    """At least one part holds."""

    any: list["Filter"] = Field(min_length=1, max_length=MAX_TERMS, description="Parts of which one must hold.")


class Not(_Node):
    """The part does not hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    not_: "Filter" = Field(alias="not", description="Part that must not hold.")


_KINDS: Final = {"all": AllOf, "any": AnyOf, "not": Not, "field": Term}
_SHAPE: Final = 'a filter is {"field", "op", "value"}, {"all": [...]}, {"any": [...]} or {"not": {...}}'


def _kind(node: Any) -> str | None:
    if isinstance(node, Mapping):
        return next((kind for kind in _KINDS if kind in node), None)
    return next((kind for kind, model in _KINDS.items() if isinstance(node, model)), None)


Filter = Annotated[
    Union[  # noqa: UP007  # the members are forward references to each other
        Annotated[AllOf, Tag("all")],
        Annotated[AnyOf, Tag("any")],
        Annotated[Not, Tag("not")],
        Annotated[Term, Tag("field")],
    ],
    Discriminator(_kind, custom_error_type="filter", custom_error_message=_SHAPE),
]
"""A filter tree. As the type of a field of a request, it documents the grammar."""

for _model in (AllOf, AnyOf, Not):
    _model.model_rebuild()
_READER: Final[TypeAdapter[Filter]] = TypeAdapter(Filter)


def parse_filter(document: Any, fields: Fields, pointer: str = "") -> Filter:
    """Return the checked tree of a JSON filter. Its values are Python values of the fields' types.

    `pointer` is the JSON pointer of the document in the request. Raises FilterError for another shape, a field or operator that
    is not allowed, a value of another type, more than 5 levels, more than 50 terms, more than 1,000 values, or patterns of more
    than 1,000 characters in all.
    """
    _limit_size(document, pointer)
    try:
        tree = _READER.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        at = "".join(f"/{part}" for part in _without_tags(first["loc"]))
        raise FilterError("invalid-filter", pointer + at, first["msg"]) from None
    checked = _checked(tree, fields, pointer)
    _limit_cost(checked, fields, pointer)
    return checked


def parse_query_params(
    items: Iterable[tuple[str, str]], fields: Fields, reserved: frozenset[str] = RESERVED
) -> Filter | None:
    """Return the tree of a list's query parameters, which must all hold; None if there is no filter.

    `items` are the decoded parameters in order. Those named in `reserved` are skipped. A field without an operator means `eq`.
    The values of `in`, `nin` and `between` are separated by commas. Raises FilterError with the parameter's name as pointer.
    """
    terms: list[Filter] = []
    for name, text in items:
        if name in reserved:
            continue
        match = _PARAMETER.fullmatch(name)
        if match is None:
            raise _unknown_field(name, name, fields)
        field, op_name = match["field"], match["op"] or Op.EQ.value
        known = fields.get(field)
        if known is None:
            raise _unknown_field(field, name, fields)
        op = next((op for op in known.ops if op == op_name), None)
        if op is None:
            raise _unknown_op(field, op_name, known, name)
        if len(terms) == MAX_TERMS:
            raise FilterError("too-many-terms", name, TOO_MANY_TERMS)
        value: Any = text.split(",") if op in (Op.IN, Op.NIN, Op.BETWEEN) else text
        terms.append(Term(field=field, op=op, value=read_value(field, known, op, value, name, FROM_TEXT)))
    if not terms:
        return None
    tree = terms[0] if len(terms) == 1 else AllOf.model_construct(all=terms)
    _limit_cost(tree, fields, "filter")
    return tree


def as_json(tree: Filter) -> dict[str, Any]:
    """Return the tree as JSON, so that it can be stored. `parse_filter` reads it."""
    if isinstance(tree, AllOf):
        return {"all": [as_json(part) for part in tree.all]}
    if isinstance(tree, AnyOf):
        return {"any": [as_json(part) for part in tree.any]}
    if isinstance(tree, Not):
        return {"not": as_json(tree.not_)}
    return {"field": tree.field, "op": tree.op.value, "value": plain_value(tree.value)}


def count_terms(tree: Filter) -> int:
    """Return the number of comparisons of a tree."""
    if isinstance(tree, AllOf):
        return sum(map(count_terms, tree.all))
    if isinstance(tree, AnyOf):
        return sum(map(count_terms, tree.any))
    return count_terms(tree.not_) if isinstance(tree, Not) else 1


def terms_of(tree: Filter) -> Iterator[Term]:
    """Yield the comparisons of a tree."""
    if isinstance(tree, AllOf | AnyOf):
        for part in tree.all if isinstance(tree, AllOf) else tree.any:
            yield from terms_of(part)
    elif isinstance(tree, Not):
        yield from terms_of(tree.not_)
    else:
        yield tree


def looks_inside(tree: Filter, fields: Fields) -> bool:
    """Whether a tree searches within texts, so that it may have to read all of them."""
    return any(is_pattern(fields[term.field], term.op) for term in terms_of(tree))


def fields_of(tree: Filter) -> set[str]:
    """Return the names of the fields that a tree compares."""
    if isinstance(tree, AllOf):
        return set().union(*map(fields_of, tree.all))
    if isinstance(tree, AnyOf):
        return set().union(*map(fields_of, tree.any))
    return fields_of(tree.not_) if isinstance(tree, Not) else {tree.field}


MAX_KEYS: Final = 20
_PARAMETER: Final = re.compile(r"(?P<field>[a-z][a-z0-9_.]{0,99})(?:\[(?P<op>[a-z_]{1,20})\])?", re.ASCII)


TOO_MANY_TERMS: Final = f"Send at most {MAX_TERMS} terms."


def _limit_size(document: Any, pointer: str) -> None:
    """Raise FilterError if the document is nested too deeply or has too many parts, before its parts are validated."""
    level, depth, leaves = [document], 0, 0
    while level:
        inner: list[Any] = []
        for node in level:
            parts = _parts(node)
            leaves += not parts
            inner.extend(parts)
            if isinstance(node, Mapping) and len(node) > MAX_KEYS:
                raise FilterError("too-many-keys", pointer, "Send only field, op and value in a term.")
        if inner:
            depth += 1
        if depth > MAX_DEPTH:
            raise FilterError(
                "too-deep", pointer, said("Send all, any and not nested at most {most} levels deep.", most=MAX_DEPTH)
            )
        # Below each part there is at least one term.
        if leaves + len(inner) > MAX_TERMS:
            raise FilterError("too-many-terms", pointer, TOO_MANY_TERMS)
        level = inner


def _limit_cost(tree: Filter, fields: Fields, pointer: str) -> None:
    """Raise FilterError if all terms together have too many values or patterns."""
    values = patterns = 0
    for term in terms_of(tree):
        values += len(term.value) if isinstance(term.value, tuple) else 1
        if is_pattern(fields[term.field], term.op):
            patterns += len(term.value)
    if values > MAX_ALL_VALUES:
        raise FilterError(
            "too-many-values", pointer, said("Send at most {most} values in all terms together.", most=MAX_ALL_VALUES)
        )
    if patterns > MAX_ALL_PATTERNS:
        message = said(
            "Send at most {most} characters for contains and starts_with in all terms together.", most=MAX_ALL_PATTERNS
        )
        raise FilterError("too-long", pointer, message)


def _parts(node: Any) -> Sequence[Any]:
    if isinstance(node, AllOf):
        return node.all
    if isinstance(node, AnyOf):
        return node.any
    if isinstance(node, Not):
        return [node.not_]
    if not isinstance(node, Mapping):
        return []
    parts = next((node[key] for key in ("all", "any") if key in node), None)
    if isinstance(parts, list):
        return parts
    return [node["not"]] if "not" in node else []


def _without_tags(loc: tuple[int | str, ...]) -> Iterable[int | str]:
    # pydantic names the chosen kind before each step into it: ("all", "all", 0, "field", "op").
    steps = list(loc)
    while steps:
        tag = steps.pop(0)
        if not steps:
            if tag not in _KINDS:
                yield tag
            return
        key = steps.pop(0)
        yield key
        if tag in ("all", "any") and steps and isinstance(steps[0], int):
            yield steps.pop(0)
        elif tag == "field":
            yield from steps
            return


def _checked(tree: Filter, fields: Fields, pointer: str) -> Filter:
    if isinstance(tree, AllOf):
        return AllOf.model_construct(
            all=[_checked(part, fields, f"{pointer}/all/{index}") for index, part in enumerate(tree.all)]
        )
    if isinstance(tree, AnyOf):
        return AnyOf.model_construct(
            any=[_checked(part, fields, f"{pointer}/any/{index}") for index, part in enumerate(tree.any)]
        )
    if isinstance(tree, Not):
        return Not.model_construct(not_=_checked(tree.not_, fields, f"{pointer}/not"))
    known = fields.get(tree.field)
    if known is None:
        raise _unknown_field(tree.field, f"{pointer}/field", fields)
    if tree.op not in known.ops:
        raise _unknown_op(tree.field, tree.op, known, f"{pointer}/op")
    value = read_value(tree.field, known, tree.op, tree.value, f"{pointer}/value", FROM_JSON)
    return Term.model_construct(field=tree.field, op=tree.op, value=value)


def _unknown_field(field: str, pointer: str, fields: Fields) -> FilterError:
    allowed = ", ".join(sorted(fields)) or "none"
    return FilterError(
        "unknown-field",
        pointer[:200],
        said(
            "This list cannot be filtered by {field!r}. Choose one of: {allowed}.", field=field[:100], allowed=allowed
        ),
    )


def _unknown_op(field: str, op: str, known: FilterField, pointer: str) -> FilterError:
    allowed = ", ".join(known.ops)
    return FilterError(
        "unknown-operator",
        pointer,
        said(
            "{field} ({kind}) does not take {op!r}. Choose one of: {allowed}.",
            field=field,
            kind=known.kind,
            op=str(op),
            allowed=allowed,
        ),
    )
