"""What clients send about contacts and what they get."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import BuyingPower, Gender, PreferredChannel, Tier
from crm_contracts.sales.contact import ContactRecord
from crm_contracts.types import Address, Date, Email, Flag, LongText, Maybe, Personal, ShortText
from crm_kit.phones import PhoneInput
from crm_kit.records.merging import Merge
from crm_kit.records.patch import Patch, optional

Interests = Annotated[list[ShortText], Field(max_length=100)]


class ContactFields(BaseModel):
    """The fields of a contact that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    first_name: Personal[Maybe[ShortText]] = Field(None, description="First name, at most 200 characters.")
    gender: Personal[Gender | None] = Field(None, description="Gender.")
    birth_date: Personal[Date | None] = Field(None, description="Date of birth, YYYY-MM-DD.")
    account_id: UUID | None = Field(None, description="Account that the person belongs to.")
    job_title: Maybe[ShortText] = Field(None, description="Job title, at most 200 characters.")
    email: Personal[Maybe[Email]] = Field(None, description="E-mail address; its domain is kept in lower case.")
    phone: Personal[Maybe[PhoneInput]] = Field(None, description="Telephone: E.164, or national; kept as E.164.")
    mobile_phone: Personal[Maybe[PhoneInput]] = Field(None, description="Mobile: E.164, or national; kept as E.164.")
    address: Personal[Address | None] = Field(None, description="Postal address.")
    tier: Tier = Field(
        Tier.PROSPECT, description="Importance of the customer; a won deal raises it to at least standard."
    )
    preferred_channel: PreferredChannel = Field(PreferredChannel.ANY, description="How to contact the person.")
    do_not_email: Flag = Field(False, description="True when e-mail is not wanted.")
    do_not_phone: Flag = Field(False, description="True when calls are not wanted.")
    do_not_post: Flag = Field(False, description="True when letters are not wanted.")
    interests: Interests = Field([], description="At most 100 interests, each 1 to 200 characters.")
    needs: Maybe[LongText] = Field(None, description="What the person needs, at most 32,000 characters.")
    buying_power: BuyingPower | None = Field(None, description="How much the person can spend.")
    evaluation: Maybe[LongText] = Field(None, description="Assessment of the customer, at most 32,000 characters.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class ContactCreate(ContactFields):
    """A new contact."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org", "interests": ["sums"]}
            ]
        }
    )

    last_name: Personal[ShortText] = Field(description="Last name, 1 to 200 characters.")


class ContactUpdate(Patch, ContactFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_title": "Countess"}]})

    last_name: Personal[ShortText] = optional("Last name, 1 to 200 characters.")


class ContactRead(ContactRecord):
    """A contact as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


ContactMergeField = Literal[
    "first_name",
    "last_name",
    "gender",
    "birth_date",
    "account_id",
    "job_title",
    "email",
    "phone",
    "mobile_phone",
    "address",
    "tier",
    "preferred_channel",
    "interests",
    "needs",
    "buying_power",
    "evaluation",
    "description",
]


class ContactMerge(Merge):
    """Which contact takes the place of this one, and what of this one it takes over (Dataverse: Merge)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"into": "019aa2f0-0000-7000-8000-000000000001", "fields": ["email", "phone"]}]}
    )

    fields: list[ContactMergeField] = Field(
        [], max_length=20, description="Fields of which the survivor takes over the value of this contact."
    )
