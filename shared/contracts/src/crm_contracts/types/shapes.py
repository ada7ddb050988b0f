"""Values with members inside a record: addresses, and references to other records."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .codes import CountryCode
from .marks import CONSUMING, Maybe, Personal
from .texts import EntityName, ShortText


class Shape(BaseModel):
    """A value inside a record. Validation is strict for producers and lenient for consumers (see `Event.consume`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    @classmethod
    def stored(cls, value: Any) -> Self:
        """Read a stored value, which a newer release may have written. Unknown members are left out. Unknown enum values stay
        plain text. Raises pydantic.ValidationError."""
        return cls.model_validate(value, extra="ignore", context={CONSUMING: True})


class Address(Shape):
    """A postal address. Unknown parts are null."""

    line1: Maybe[ShortText] = Field(default=None, description="Street and number.")
    line2: Maybe[ShortText] = Field(default=None, description="Building, floor, care of.")
    city: Maybe[ShortText] = Field(default=None, description="Town or city.")
    region: Maybe[ShortText] = Field(default=None, description="State, province or county.")
    postal_code: Maybe[ShortText] = Field(default=None, description="Postal code as written locally.")
    country: Maybe[CountryCode] = Field(default=None, description="ISO 3166-1 alpha-2 country code.")


class Ref(Shape):
    """A reference to a record of one of several types, with its name as of writing."""

    type: EntityName = Field(description="Entity of the record, singular snake_case.", examples=["contact"])
    id: UUID = Field(description="Id of the record.")
    name: Personal[str | None] = Field(
        default=None, description="Name of the record as of writing; read-only; null when not known."
    )
    deleted: bool = Field(default=False, description="True if the record was deleted and only its name is left.")


HiddenMark = Annotated[
    Literal[True], Field(description="Always true: you may not read the record, so only its type and id are shown.")
]
"""The member `hidden` of references in answers to callers who may not read the record. Events do not have it."""


class HiddenRef(Ref):
    """A reference to a record that you may not read. It has type and id, and no name."""

    hidden: HiddenMark


class RefInput(Shape):
    """A reference in a request. Members other than type and id may be sent and are ignored."""

    type: EntityName = Field(
        max_length=100, description="Entity of the record, singular snake_case.", examples=["contact"]
    )
    id: UUID = Field(description="Id of the record.")
    name: Personal[str | None] = Field(
        default=None,
        max_length=1000,
        exclude=True,
        description="Read-only; ignored.",
        json_schema_extra={"readOnly": True},
    )
    deleted: bool | None = Field(
        default=None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    hidden: bool | None = Field(
        default=None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )


class Principal(Shape):
    """A user, a team or an API client."""

    type: str = Field(description="`user`, `team` or `client`.", examples=["user"])
    id: UUID = Field(description="Id of the user, team or API client.")


def _each_once(ids: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


Ids = Annotated[list[UUID], Field(max_length=50), AfterValidator(_each_once)]
"""At most 50 ids, in their order. Repeated ids are removed."""
