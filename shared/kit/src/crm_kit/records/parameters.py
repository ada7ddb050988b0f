"""The parameters of lists in OpenAPI. They are made from the declaration that answers the list, so that they cannot differ."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from crm_contracts.filters import MAX_VALUES as MAX_FILTER_VALUES
from crm_contracts.filters import OPS, FieldType, FilterField, Op
from crm_kit.records.history import NEWEST
from crm_kit.records.listing import DEFAULT_PAGE, LONGEST, MAX_PAGE, MAX_SEARCH, Listing

Schema = dict[str, Any]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

SHARED: Final = "#/components/schemas/"

VALUES: Final[Mapping[FieldType, Schema]] = {
    FieldType.TEXT: {"type": "string", "minLength": 1, "maxLength": 1000},
    FieldType.KEYWORD: {"type": "string", "minLength": 1, "maxLength": 1000},
    FieldType.UUID: {"type": "string", "format": "uuid"},
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.DATETIME: {"type": "string", "format": "date-time"},
    FieldType.DECIMAL: {"type": "string", "pattern": r"^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$"},
    FieldType.INTEGER: {"type": "integer"},
    FieldType.BOOLEAN: {"type": "boolean"},
}
"""How one value of a filter is written in a query string."""

NAMES: Final[Mapping[FieldType, str]] = {
    FieldType.TEXT: "Text",
    FieldType.KEYWORD: "Choice",
    FieldType.UUID: "Id",
    FieldType.DATE: "Date",
    FieldType.DATETIME: "Time",
    FieldType.DECIMAL: "Decimal",
    FieldType.INTEGER: "Integer",
    FieldType.BOOLEAN: "Flag",
}

MEANINGS: Final[Mapping[Op, str]] = {
    Op.EQ: "Is this value.",
    Op.NE: "Is not this value; also matches records without a value.",
    Op.GT: "Is greater or later.",
    Op.GTE: "Is equal, greater or later.",
    Op.LT: "Is less or earlier.",
    Op.LTE: "Is equal, less or earlier.",
    Op.BETWEEN: "Two values with a comma between them, both included.",
    Op.IN: f"Is one of 1 to {MAX_FILTER_VALUES} values, with commas between them.",
    Op.NIN: f"Is none of 1 to {MAX_FILTER_VALUES} values, with commas between them.",
    Op.CONTAINS: "Contains this text, whatever its case.",
    Op.STARTS_WITH: "Starts with this text, whatever its case.",
    Op.IS_NULL: "`true` for records without a value, `false` for those with one.",
}


def lists(listing: Listing) -> Callable[[Endpoint], Endpoint]:
    """Declare that a route answers ``GET`` of a list. OpenAPI then has its parameters."""
    return _documented(lambda: parameters_of(listing))


def shows_history(endpoint: Endpoint) -> Endpoint:
    """Declare that a route answers the history of a record. OpenAPI then has its parameters."""
    return _documented(lambda: ([_limit(), _history_after()], {}))(endpoint)


def _documented(parameters: Callable[[], tuple[list[Schema], dict[str, Schema]]]) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        # crm_kit.http.openapi calls it when somebody asks for the document: most processes never make one.
        endpoint.documented_parameters = parameters  # type: ignore[attr-defined]  # functions take attributes
        return endpoint

    return mark


def parameters_of(listing: Listing) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the parameters of a list, and the schemas to which they refer."""
    sorts = [f"{sign}{name}" for name in listing.sorts for sign in ("", "-")]
    found = [
        _limit(),
        _query("after", {"type": "string", "maxLength": LONGEST["after"]}, "`next` of the page before."),
        _query(
            "sort",
            {"type": "string", "enum": sorts, "default": listing.default_sort},
            "The order; `-` in front for descending.",
        ),
        _query(
            "fields",
            {"type": "string", "minLength": 1, "maxLength": LONGEST["fields"]},
            "Fields to return, with commas between them; `id` is always among them.",
        ),
        _query(
            "count",
            {"type": "string", "enum": ["exact"]},
            "`exact` adds the number of all matches, which takes longer.",
        ),
    ]
    if listing.search is not None:
        found.append(_query("q", {"type": "string", "maxLength": MAX_SEARCH}, "Text to find."))
    schemas: dict[str, Schema] = {}
    for name, field in listing.filterable.fields.items():
        found.append(_filter(name, field, schemas))
    return found, schemas


def _filter(name: str, field: FilterField, schemas: dict[str, Schema]) -> Schema:
    """A parameter that takes a value (``status=open``) or operators with theirs (``status[in]=open,won``)."""
    kind = "List" if field.many else NAMES[field.type]
    operators = {"$ref": f"{SHARED}{kind}Operators"}
    schemas[f"{kind}Operators"] = _operators(field)
    schema: Schema = operators
    if field.values is not None:
        schema = {"anyOf": [{"type": "string", "enum": list(field.values)}, operators]}
    elif not field.many:
        schemas[f"{kind}Filter"] = {"anyOf": [VALUES[field.type], operators]}
        schema = {"$ref": f"{SHARED}{kind}Filter"}
    return {**_query(name, schema, f"Filter by `{name}`."), "style": "deepObject", "explode": True}


def _operators(field: FilterField) -> Schema:
    """The operators of a type of field, which follow the name of the field in brackets."""
    ops = field.ops if field.many else OPS[field.type]
    kind = f"a {field.kind}" if field.kind[0] not in "aeiou" else f"an {field.kind}"
    return {
        "type": "object",
        "description": f"Operators on {kind}. Several must all hold.",
        "properties": {op.value: {**_operand(field.type, op), "description": MEANINGS[op]} for op in ops},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _operand(kind: FieldType, op: Op) -> Schema:
    match op:
        case Op.IS_NULL:
            return {"type": "boolean"}
        case Op.IN | Op.NIN | Op.BETWEEN:
            return {"type": "string", "minLength": 1}
    return VALUES[kind]


def _limit() -> Schema:
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}
    return _query("limit", schema, f"Records per page, 1 to {MAX_PAGE}.")


def _history_after() -> Schema:
    schema = {"type": "string", "pattern": "^[0-9]{1,10}$"}
    return _query("after", schema, f"`next` of the page before: a version from 1 to {NEWEST}.")


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
