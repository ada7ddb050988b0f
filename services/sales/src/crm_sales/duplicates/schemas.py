"""What clients send to look for duplicates, and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import Email, Maybe, Personal, ShortText, UtcDatetime
from crm_kit.phones import PhoneInput

OnDuplicates = Literal["allow", "report"]


class Company(BaseModel):
    """What a form knows of a company so far. At least one field says who it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Analytical Engines Ltd", "phone": "+4930123456"}]}
    )

    name: Maybe[ShortText] = Field(None, description="Name, compared by trigram similarity.")
    email: Maybe[Email] = Field(None, description="E-mail address, compared whatever its case.")
    phone: Maybe[PhoneInput] = Field(None, description="Telephone: E.164, or national; compared as E.164.")


class Person(BaseModel):
    """What a form knows of a person so far. At least one field says who it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}]},
    )

    first_name: Personal[Maybe[ShortText]] = Field(None, description="First name, at most 200 characters.")
    last_name: Personal[Maybe[ShortText]] = Field(
        None, description="Last name; first and last name are compared by trigram similarity."
    )
    email: Personal[Maybe[Email]] = Field(None, description="E-mail address, compared whatever its case.")
    phone: Personal[Maybe[PhoneInput]] = Field(None, description="Telephone: E.164, or national; compared as E.164.")
    mobile_phone: Personal[Maybe[PhoneInput]] = Field(
        None, description="Mobile: E.164, or national; compared as E.164 with telephones and mobiles."
    )


class PersonOrCompany(Person):
    """What a form knows of a lead so far: about a person where it has a last name, else about a company."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}]},
    )

    company_name: Maybe[ShortText] = Field(
        None, description="Company; compared by trigram similarity where there is no last name."
    )


class SomebodyKnown(BaseModel):
    """A lead, contact or account, as far as is needed to tell who it is."""

    type: Literal["lead", "contact", "account"] = Field(description="What it is.")
    id: UUID = Field(description="Its id.")
    number: str | None = Field(description="Its number.")
    name: Personal[str] = Field(description="Name of the person or company.")
    company_name: str | None = Field(description="Company of a lead.")
    email: Personal[str | None] = Field(description="E-mail address.")
    phone: Personal[str | None] = Field(description="Telephone in E.164.")
    mobile_phone: Personal[str | None] = Field(description="Mobile in E.164.")
    created_at: UtcDatetime = Field(description="When it was made.")


class LikelyDuplicate(SomebodyKnown):
    """A record that is likely the same, and why."""

    reasons: list[Literal["email", "phone", "name"]] = Field(
        description="`email`: equal whatever the case; `phone`: a telephone or mobile that both have; `name`: similar."
    )
    similarity: float | None = Field(
        ge=0, le=1, description="Trigram similarity of the names (pg_trgm), 0.6 to 1; null when they are not similar."
    )


class HiddenDuplicate(BaseModel):
    """A record that is likely the same and that you may not read: nothing else is told of it."""

    hidden: Literal[True] = Field(description="Always true.")


class Duplicates(BaseModel):
    """Likely duplicates, the likeliest first."""

    duplicates: list[LikelyDuplicate | HiddenDuplicate] = Field(description="At most 20; empty when none is likely.")
    more: bool = Field(
        description="True when there may be more than those. Of a name that thousands have, a thousand records are compared."
    )


class Duplicated(BaseModel):
    """A record and its likely duplicates."""

    record: SomebodyKnown = Field(description="A record that you may read.")
    duplicates: list[LikelyDuplicate | HiddenDuplicate] = Field(
        description="Likely duplicates of it, the likeliest first, at most 20. Each pair comes once: with the older record."
    )
    more: bool = Field(description="True when it has more than those; look again when some of them are merged.")


class DuplicatesPage(BaseModel):
    """What a stretch of existing records holds: possibly nothing, and yet there is more to look through."""

    items: list[Duplicated] = Field(description="Records with likely duplicates, oldest first.")
    next: str | None = Field(description="Value for `after` of the next stretch; null at the end.")
    scanned: int = Field(description="How many records this answer looked through.")
    names_not_compared: int = Field(
        description="Of how many of them only e-mail addresses and phones were compared, because so many have a name like "
        "theirs."
    )
