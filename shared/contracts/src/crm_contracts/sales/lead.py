"""Leads: people and companies that may become customers."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event, Raw
from crm_contracts.money import Money
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import (
    Address,
    Date,
    Email,
    LongText,
    NonNegativeMoney,
    Open,
    Personal,
    Phone,
    Rate,
    ShortText,
    Url,
    UtcDatetime,
)

from .choices import (
    DisqualifyReason,
    Gender,
    LeadSource,
    LeadStatus,
    LeadStatusReason,
    Need,
    PreferredChannel,
    QualifiedEntity,
    Rating,
)


class LeadRecord(OwnedRecord):
    """A lead."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["LEA-00042"])
    status: Open[LeadStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[LeadStatusReason] = Field(description="Detail of the state.")
    topic: ShortText = Field(description="Topic, 1 to 200 characters.", examples=["Gold card for Ada"])
    first_name: Personal[ShortText | None] = Field(description="First name, at most 200 characters.")
    last_name: Personal[ShortText | None] = Field(description="Last name, at most 200 characters.")
    company_name: ShortText | None = Field(description="Company, at most 200 characters.")
    job_title: ShortText | None = Field(description="Job title, at most 200 characters.")
    gender: Personal[Open[Gender] | None] = Field(description="Gender.")
    birth_date: Personal[Date | None] = Field(description="Date of birth.")
    email: Personal[Email | None] = Field(description="E-mail address, domain in lower case.")
    phone: Personal[Phone | None] = Field(description="Telephone, E.164.")
    mobile_phone: Personal[Phone | None] = Field(description="Mobile telephone, E.164.")
    address: Personal[Address | None] = Field(description="Postal address.")
    website: Url | None = Field(description="Website, http or https.")
    industry: ShortText | None = Field(description="Industry, at most 200 characters.")
    source: Open[LeadSource] | None = Field(description="Source of the lead.")
    rating: Open[Rating] | None = Field(description="Rating of the lead.")
    budget: NonNegativeMoney | None = Field(description="Budget of the prospect, zero or more.")
    budget_base: Money | None = Field(description="`budget` in base currency at `exchange_rate`; read-only.")
    estimated_value: NonNegativeMoney | None = Field(description="Expected revenue, zero or more.")
    estimated_value_base: Money | None = Field(
        description="`estimated_value` in base currency at `exchange_rate`; read-only."
    )
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    estimated_close_date: Date | None = Field(description="When a deal is expected, in the organisation's time zone.")
    need: Open[Need] | None = Field(description="How urgent the need of the prospect is.")
    preferred_channel: Open[PreferredChannel] = Field(description="How the prospect wants to be contacted.")
    do_not_email: bool = Field(description="True if the person does not want e-mail.")
    do_not_phone: bool = Field(description="True if the person does not want calls.")
    do_not_post: bool = Field(description="True if the person does not want letters.")
    campaign_id: UUID | None = Field(description="Campaign that brought the lead.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    account_id: UUID | None = Field(description="Account it was qualified into; read-only.")
    contact_id: UUID | None = Field(description="Contact it was qualified into; read-only.")
    opportunity_id: UUID | None = Field(description="Opportunity it was qualified into; read-only.")
    qualified_at: UtcDatetime | None = Field(description="When it was last qualified; read-only.")
    disqualified_at: UtcDatetime | None = Field(description="When it was last disqualified; read-only.")


def _name(record: Raw) -> str | None:
    """Return the name of the person, otherwise the company, otherwise the topic (Dataverse: primary name is the full name)."""
    person = " ".join(part for part in (record.get("first_name"), record.get("last_name")) if part)
    return person or record.get("company_name") or record.get("topic")


LEAD = Entity(service="sales", name="lead", collection="leads", record=LeadRecord, owned=True, named=_name)


class LeadEvent(Event):
    """Something happened to a lead."""

    entity: ClassVar[Entity] = LEAD
    record: LeadRecord


class LeadCreated(LeadEvent):
    """A lead was created or imported."""

    type: ClassVar[str] = "crm.sales.lead.created.v1"


class LeadUpdated(LeadEvent):
    """Fields of a lead changed."""

    type: ClassVar[str] = "crm.sales.lead.updated.v1"


class LeadDeleted(LeadEvent):
    """A lead was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.lead.deleted.v1"


class LeadAssigned(LeadEvent):
    """A lead was given to another owner."""

    type: ClassVar[str] = "crm.sales.lead.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class LeadContacted(LeadEvent):
    """A lead was contacted for the first time."""

    type: ClassVar[str] = "crm.sales.lead.contacted.v1"


class LeadQualified(LeadEvent):
    """A lead was qualified. It is linked to the records that were created or found for it."""

    type: ClassVar[str] = "crm.sales.lead.qualified.v1"
    timeline = ("account_id", "contact_id", "opportunity_id", "created")
    account_id: UUID | None = Field(description="Account that the lead is linked to, new or existing.")
    contact_id: UUID | None = Field(description="Contact that the lead is linked to, new or existing.")
    opportunity_id: UUID | None = Field(description="Opportunity the lead is linked to.")
    created: list[Open[QualifiedEntity]] = Field(
        description="Entities that the qualification created. The others existed before."
    )


class LeadDisqualified(LeadEvent):
    """A lead was disqualified."""

    type: ClassVar[str] = "crm.sales.lead.disqualified.v1"
    timeline = ("reason",)
    headline = "reason"
    reason: Open[DisqualifyReason] = Field(description="Why.")


class LeadReopened(LeadEvent):
    """A qualified or disqualified lead was reopened. Its links stay."""

    type: ClassVar[str] = "crm.sales.lead.reopened.v1"


class LeadMerged(LeadEvent):
    """A lead was merged into another and no longer exists. The survivor publishes `updated` if it changed. So does each
    record that referred to the merged lead and now refers to the survivor."""

    type: ClassVar[str] = "crm.sales.lead.merged.v1"
    timeline = ("survivor_id",)
    survivor_id: UUID = Field(description="Lead that it was merged into.")


class LeadSnapshot(LeadEvent):
    """The current state of a lead, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.lead.snapshot.v1"
    survivor_id: UUID | None = Field(
        default=None,
        description="Lead that it was merged into, as in `merged`; null if it was not merged.",
        examples=[None],
        json_schema_extra={"x-since": "1.1.0"},
    )
