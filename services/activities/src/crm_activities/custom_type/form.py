"""The fields of a type, from its schema, so that a program can build a form."""

from typing import Any, Final

from pydantic import BaseModel, Field, JsonValue

from crm_activities.custom_type.model import TypeVersion
from crm_contracts.types import UtcDatetime

_TYPES: Final = {"date": "date", "date-time": "datetime"}


class FormField(BaseModel):
    """A field of the values of a type."""

    name: str = Field(description="Name of the field in `values`.", examples=["visitors"])
    type: str | None = Field(
        description="`string`, `integer`, `number`, `boolean`, `date`, `datetime`, `array` or `object`; null if the schema"
        " allows several types.",
        examples=["integer"],
    )
    labels: dict[str, str] = Field(
        description="Name for people by language, from `x-labels`; otherwise the title of the schema, or the name.",
        examples=[{"en": "Visitors", "ja": "訪問者数"}],
    )
    required: bool = Field(description="Whether the schema requires the field.")
    options: list[JsonValue] | None = Field(description="The allowed values, from `enum`; null for others.")


class TypeForm(BaseModel):
    """A version of a type: its schema and its fields in the order of the schema."""

    schema_version: int = Field(description="Number of the version.", examples=[1])
    values_schema: dict[str, JsonValue] = Field(description="JSON Schema 2020-12 of the values in this version.")
    fields: list[FormField] = Field(description="The properties of the schema.")
    published_at: UtcDatetime = Field(description="When the version was published.")


def form_of(version: TypeVersion) -> TypeForm:
    """Return the form of a version."""
    schema = version.values_schema
    return TypeForm(
        schema_version=version.number,
        values_schema=schema,
        fields=fields_of(schema),
        published_at=version.published_at,
    )


def fields_of(schema: dict[str, Any]) -> list[FormField]:
    """Return the fields of a schema of an object, in its order."""
    required = set(schema.get("required", ()))
    return [
        FormField(
            name=name,
            type=type_of(part),
            labels=part.get("x-labels") or {"en": str(part.get("title") or name)},
            required=name in required,
            options=part.get("enum"),
        )
        for name, part in schema_parts(schema)
    ]


def schema_parts(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the properties of a schema, by name."""
    return [(name, part if isinstance(part, dict) else {}) for name, part in schema.get("properties", {}).items()]


def type_of(part: dict[str, Any]) -> str | None:
    """Return the type of a property; None if it may have several besides null."""
    kinds = part.get("type")
    if kinds is None and part.get("enum"):
        options = [one for one in part["enum"] if one is not None]
        kinds = "string" if options and all(isinstance(one, str) for one in options) else None
    if isinstance(kinds, list):
        named = [kind for kind in kinds if kind != "null"]
        kinds = named[0] if len(named) == 1 else None
    return _TYPES.get(part.get("format", ""), "string") if kinds == "string" else kinds
