"""Marketing: campaigns."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from .catalogue import Entity, Event
from .handovers import handovers_of
from .records import OwnedRecord, Owner
from .types import Date, LongText, NonNegativeMoney, Open, Percent, ShortText


class CampaignStatus(StrEnum):
    """States of a campaign. Each has one reason with the same name."""

    PROPOSED = "proposed"
    READY = "ready"
    LAUNCHED = "launched"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    CANCELED = "canceled"


class CampaignType(StrEnum):
    ADVERTISEMENT = "advertisement"
    DIRECT_MARKETING = "direct_marketing"
    EVENT = "event"
    CO_BRANDING = "co_branding"
    OTHER = "other"


class CampaignChannel(StrEnum):
    EMAIL = "email"
    NEWSPAPER = "newspaper"
    VIDEO = "video"
    SOCIAL = "social"
    PHONE = "phone"
    POST = "post"
    WEB = "web"
    EVENT = "event"
    OTHER = "other"


class CampaignRecord(OwnedRecord):
    """A campaign, or a template that campaigns are copied from. Its amounts are in the organisation's base currency."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["CMP-00042"])
    status: Open[CampaignStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[CampaignStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name of the campaign, 1 to 200 characters.", examples=["Gold card, spring"])
    code: ShortText | None = Field(
        description="Your own tracking code, at most 200 characters.", examples=["GOLD-SPRING"]
    )
    type: Open[CampaignType] | None = Field(description="Kind of campaign.")
    channels: list[Open[CampaignChannel]] = Field(
        description="Channels it goes through, each once.", examples=[["email", "newspaper", "video"]]
    )
    objective: LongText | None = Field(description="Objective, at most 32,000 characters.")
    offer: LongText | None = Field(description="Offer, at most 32,000 characters.")
    proposed_start: Date | None = Field(description="Planned first day, in the organisation's time zone.")
    proposed_end: Date | None = Field(description="Planned last day, never before the first.")
    budget: NonNegativeMoney | None = Field(description="Planned budget, zero or more, in base currency.")
    other_cost: NonNegativeMoney | None = Field(
        description="Cost that does not come from activities of the campaign, zero or more, in base currency."
    )
    expected_response: Percent | None = Field(description="Share of people expected to respond, in percent, 0 to 100.")
    expected_revenue: NonNegativeMoney | None = Field(description="Expected revenue, zero or more, in base currency.")
    is_template: bool = Field(description="True for a template. A template can be copied, but not launched.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    actual_start: Date | None = Field(
        description="Day of its launch, in the organisation's time zone; null before; read-only."
    )
    actual_end: Date | None = Field(
        description="Day it was completed or canceled, in the organisation's time zone; null before; read-only."
    )


CAMPAIGN = Entity(service="marketing", name="campaign", collection="campaigns", record=CampaignRecord, owned=True)


class CampaignEvent(Event):
    """Something happened to a campaign."""

    entity: ClassVar[Entity] = CAMPAIGN
    record: CampaignRecord


class CampaignCreated(CampaignEvent):
    """A campaign was proposed, as a new one or as a copy."""

    type: ClassVar[str] = "crm.marketing.campaign.created.v1"


class CampaignUpdated(CampaignEvent):
    """Fields of a campaign changed."""

    type: ClassVar[str] = "crm.marketing.campaign.updated.v1"


class CampaignDeleted(CampaignEvent):
    """A campaign was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.marketing.campaign.deleted.v1"


class CampaignAssigned(CampaignEvent):
    """A campaign was given to another owner."""

    type: ClassVar[str] = "crm.marketing.campaign.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class CampaignReadied(CampaignEvent):
    """A campaign is planned and waits for its launch."""

    type: ClassVar[str] = "crm.marketing.campaign.readied.v1"
    phrase = "is ready"


class CampaignLaunched(CampaignEvent):
    """A campaign was launched."""

    type: ClassVar[str] = "crm.marketing.campaign.launched.v1"
    timeline = ("actual_start",)
    actual_start: Date = Field(description="Day of the launch, in the organisation's time zone.")


class CampaignSuspended(CampaignEvent):
    """A launched campaign was suspended."""

    type: ClassVar[str] = "crm.marketing.campaign.suspended.v1"


class CampaignResumed(CampaignEvent):
    """A suspended campaign was resumed."""

    type: ClassVar[str] = "crm.marketing.campaign.resumed.v1"


class CampaignCompleted(CampaignEvent):
    """A campaign was completed."""

    type: ClassVar[str] = "crm.marketing.campaign.completed.v1"
    timeline = ("actual_end",)
    actual_end: Date = Field(description="Day of the end, in the organisation's time zone.")


class CampaignCanceled(CampaignEvent):
    """A campaign was canceled, before or after its launch."""

    type: ClassVar[str] = "crm.marketing.campaign.canceled.v1"
    timeline = ("actual_end",)
    actual_end: Date = Field(description="Day it was canceled, in the organisation's time zone.")


class CampaignSnapshot(CampaignEvent):
    """The current state of a campaign, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.marketing.campaign.snapshot.v1"


HANDOVERS = handovers_of(
    created="crm.marketing.marketing_handover.created.v1",
    updated="crm.marketing.marketing_handover.updated.v1",
    snapshot="crm.marketing.marketing_handover.snapshot.v1",
)
"""What marketing does for the removal of a user, team or API client."""
