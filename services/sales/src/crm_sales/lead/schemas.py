"""What clients send about leads and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crm_contracts.sales.choices import DisqualifyReason, Gender, LeadSource, Need, PreferredChannel, Rating
from crm_contracts.sales.lead import LeadRecord
from crm_contracts.types import (
    Address,
    Date,
    Email,
    Flag,
    LongText,
    Maybe,
    NonNegativeMoney,
    Percent,
    Personal,
    ShortText,
    Url,
)
from crm_kit.phones import PhoneInput
from crm_kit.records.merging import Merge
from crm_kit.records.patch import Patch, optional
from crm_sales.lead.domain import require_somebody


class LeadFields(BaseModel):
    """The fields of a lead that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    first_name: Personal[Maybe[ShortText]] = Field(None, description="First name, at most 200 characters.")
    last_name: Personal[Maybe[ShortText]] = Field(None, description="Last name, at most 200 characters.")
    company_name: Maybe[ShortText] = Field(None, description="Company, at most 200 characters.")
    job_title: Maybe[ShortText] = Field(None, description="Job title, at most 200 characters.")
    gender: Personal[Gender | None] = Field(None, description="Gender.")
    birth_date: Personal[Date | None] = Field(None, description="Date of birth, YYYY-MM-DD.")
    email: Personal[Maybe[Email]] = Field(None, description="E-mail address; its domain is kept in lower case.")
    phone: Personal[Maybe[PhoneInput]] = Field(None, description="Telephone: E.164, or national; kept as E.164.")
    mobile_phone: Personal[Maybe[PhoneInput]] = Field(None, description="Mobile: E.164, or national; kept as E.164.")
    address: Personal[Address | None] = Field(None, description="Postal address.")
    website: Maybe[Url] = Field(None, description="Website, http or https.")
    industry: Maybe[ShortText] = Field(None, description="Industry, at most 200 characters.")
    source: LeadSource | None = Field(None, description="Where the lead came from.")
    rating: Rating | None = Field(None, description="How promising it is.")
    budget: NonNegativeMoney | None = Field(None, description="What the prospect can spend.")
    estimated_value: NonNegativeMoney | None = Field(None, description="Expected revenue.")
    estimated_close_date: Date | None = Field(None, description="When a deal is expected, YYYY-MM-DD.")
    need: Need | None = Field(None, description="How much the prospect needs it.")
    preferred_channel: PreferredChannel = Field(PreferredChannel.ANY, description="How to contact the prospect.")
    do_not_email: Flag = Field(False, description="True when e-mail is not wanted.")
    do_not_phone: Flag = Field(False, description="True when calls are not wanted.")
    do_not_post: Flag = Field(False, description="True when letters are not wanted.")
    campaign_id: UUID | None = Field(
        None, description="Campaign that brought the lead; readable to you, and in any state."
    )
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class LeadCreate(LeadFields):
    """A new lead: a topic, and a last name or a company."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "topic": "Gold card",
                    "first_name": "Ada",
                    "last_name": "Lovelace",
                    "email": "ada@example.org",
                    "estimated_value": {"amount": "1200.00", "currency": "EUR"},
                }
            ]
        }
    )

    topic: ShortText = Field(description="What it is about, 1 to 200 characters.")

    @model_validator(mode="after")
    def _about_somebody(self) -> "LeadCreate":
        require_somebody(self.last_name, self.company_name)
        return self


class LeadUpdate(Patch, LeadFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rating": "hot"}]})

    topic: ShortText = optional("What it is about, 1 to 200 characters.")


class LeadRead(LeadRecord):
    """A lead as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class LeadDisqualification(BaseModel):
    """Why the lead is disqualified."""

    model_config = ConfigDict(extra="forbid")

    reason: DisqualifyReason = Field(DisqualifyReason.LOST, description="Reason; `lost` unless said.")


class QualifiedOpportunity(BaseModel):
    """Fields of the opportunity that differ from those of the lead."""

    model_config = ConfigDict(extra="forbid")

    name: ShortText | None = Field(None, description="Name; the lead's topic unless given.")
    estimated_value: NonNegativeMoney | None = Field(None, description="Expected revenue; the lead's unless given.")
    estimated_close_date: Date | None = Field(None, description="Expected close; the lead's unless given.")
    probability: Percent | None = Field(None, description="Chance to win; the first stage's unless given.")
    description: Maybe[LongText] = Field(None, description="Free text; the lead's unless given.")


class LeadQualification(BaseModel):
    """The records that qualifying creates or links (Dataverse: QualifyLead)."""

    model_config = ConfigDict(extra="forbid")

    create_account: Flag | None = Field(None, description="Create an account; by default if the lead has a company.")
    create_contact: Flag | None = Field(None, description="Create a contact; by default if the lead has a last name.")
    create_opportunity: Flag = Field(True, description="Create an opportunity.")
    account_id: UUID | None = Field(None, description="Link this account instead of creating one.")
    contact_id: UUID | None = Field(
        None,
        description="Link this contact instead of creating one. A created account becomes its account unless it has one.",
    )
    opportunity: QualifiedOpportunity = Field(
        default_factory=QualifiedOpportunity, description="Fields of the opportunity."
    )
    allow_duplicates: Flag = Field(False, description="Continue although similar accounts or contacts exist.")


LeadMergeField = Literal[
    "topic",
    "first_name",
    "last_name",
    "company_name",
    "job_title",
    "gender",
    "birth_date",
    "email",
    "phone",
    "mobile_phone",
    "address",
    "website",
    "industry",
    "source",
    "rating",
    "budget",
    "estimated_value",
    "estimated_close_date",
    "need",
    "preferred_channel",
    "campaign_id",
    "description",
]


class LeadMerge(Merge):
    """Which lead takes the place of this one, and what of this one it takes over (Dataverse: Merge)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"into": "019aa2f0-0000-7000-8000-000000000001", "fields": ["email", "phone"]}]}
    )

    fields: list[LeadMergeField] = Field(
        [], max_length=25, description="Fields of which the survivor takes over the value of this lead."
    )
