"""How a field is read: personal data, values of other releases, and blank text."""

from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

CONSUMING: Final = "consuming"
"""The key of the validation context for values of other releases. With it, unknown enum values are kept."""

STORED: Final = "stored"
"""The key of the validation context for records that are stored. Their texts were accepted, perhaps by an earlier release."""


class PersonalMark:
    """Marks a field as personal data. It must not be in logs, spans, metrics or problem details, and erasure uses this mark."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-personal": True}

    def __repr__(self) -> str:
        return "PersonalMark()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PersonalMark)

    def __hash__(self) -> int:
        return hash(PersonalMark)


Personal = Annotated[T, PersonalMark()]
"""A field with personal data: `Personal[Email]`, `Personal[str | None]`."""


class OpenMark:
    """Lets an enum field keep an unknown value as plain text when an event is consumed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        enum: type[StrEnum] = next(arg for arg in get_args(source) if arg is not str)
        expected = ", ".join(enum)

        def unknown(value: str, info: core_schema.ValidationInfo) -> str:
            if info.context is not None and info.context.get(CONSUMING):
                return value
            raise PydanticCustomError("enum", "Send one of {expected}.", {"expected": expected})

        kept = core_schema.with_info_after_validator_function(unknown, core_schema.str_schema())
        return core_schema.union_schema(
            [handler(enum), kept],
            mode="left_to_right",
            custom_error_type="enum",
            custom_error_context={"expected": expected},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # An API uses only the values of its own release. The schemas of events allow others, too.
        known: CoreSchema = schema["choices"][0]
        return {**handler(known), "x-extensible-enum": True}


Open = Annotated[E | str, OpenMark()]
"""An enum to which later releases may add values: `Open[LeadSource]`. Consumers get unknown values as `str`."""


def blank_to_none(value: Any) -> Any:
    """Return None for a text that has only white space, and other values unchanged."""
    return None if isinstance(value, str) and not value.strip() else value


class BlankMark:
    """Reads blank text as null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(blank_to_none, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = handler(schema)
        if handler.mode == "validation":
            known.setdefault("anyOf", []).append({"type": "string", "pattern": r"^[ \t\r\n]*$", "maxLength": 200})
        return known


Maybe = Annotated[T | None, BlankMark()]
"""An optional input field in which blank text means null: `Maybe[Email]`."""
