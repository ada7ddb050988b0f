"""Competitors: companies that compete for the same deals."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import ActiveStatus, OwnedRecord, Owner
from crm_contracts.types import LongText, Open, ShortText, Url


class CompetitorRecord(OwnedRecord):
    """A company that competes with us. Its results against us are computed (`/competitors/{id}/figures`)."""

    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Difference Engines Ltd"])
    website: Url | None = Field(description="Website, http or https.")
    strengths: LongText | None = Field(description="Its strengths compared with us, at most 32,000 characters.")
    weaknesses: LongText | None = Field(description="Its weaknesses compared with us, at most 32,000 characters.")
    product_ids: list[UUID] = Field(description="Products of ours that it competes with, each once, at most 50.")


COMPETITOR = Entity(service="sales", name="competitor", collection="competitors", record=CompetitorRecord, owned=True)


class CompetitorEvent(Event):
    """Something happened to a competitor."""

    entity: ClassVar[Entity] = COMPETITOR
    record: CompetitorRecord


class CompetitorCreated(CompetitorEvent):
    """A competitor was entered."""

    type: ClassVar[str] = "crm.sales.competitor.created.v1"


class CompetitorUpdated(CompetitorEvent):
    """Fields of a competitor changed."""

    type: ClassVar[str] = "crm.sales.competitor.updated.v1"


class CompetitorDeleted(CompetitorEvent):
    """A competitor was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.competitor.deleted.v1"


class CompetitorAssigned(CompetitorEvent):
    """A competitor was given to another owner, who watches it."""

    type: ClassVar[str] = "crm.sales.competitor.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class CompetitorActivated(CompetitorEvent):
    """An inactive competitor may be changed and named again."""

    type: ClassVar[str] = "crm.sales.competitor.activated.v1"


class CompetitorDeactivated(CompetitorEvent):
    """A competitor became read-only. No further deal can name it. Deals that name it keep it."""

    type: ClassVar[str] = "crm.sales.competitor.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class CompetitorSnapshot(CompetitorEvent):
    """The current state of a competitor, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.competitor.snapshot.v1"
