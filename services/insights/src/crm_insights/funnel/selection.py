"""The records that a funnel counts: those the caller may read, by owner, business unit, campaign and period."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import Date
from crm_kit.errors import DomainError
from crm_kit.store.parameters import Parameters
from crm_kit.work.uow import UnitOfWork


class Selection(BaseModel):
    """The selection of records. Without conditions it has all records that the caller may read."""

    model_config = ConfigDict(extra="forbid")

    period_from: Date | None = Field(
        None,
        description="First day on which the leads and deals were created, in the organisation's time zone.",
        examples=["2026-07-01"],
    )
    period_to: Date | None = Field(
        None, description="Last such day, included; not before `period_from`.", examples=["2026-09-30"]
    )
    owner_id: UUID | None = Field(None, description="Only what this user, team or API client owns now.")
    business_unit_id: UUID | None = Field(
        None, description="Only what belongs to this business unit, without those below it."
    )
    campaign_id: UUID | None = Field(None, description="Only what this campaign brought.")

    def require_order(self) -> None:
        """Raise 400 for a period that ends before it begins."""
        if self.period_from and self.period_to and self.period_to < self.period_from:
            raise DomainError("invalid-parameter", "Send a period_to that is not before period_from.")


def may_read(uow: UnitOfWork, entity: str) -> bool:
    """Whether the caller may read any record of this entity."""
    return not uow.reach(entity).nothing


def condition(uow: UnitOfWork, entity: str, selection: Selection, parameters: Parameters) -> str:
    """Return the selection as SQL on the rows of a projection with an owner, a business unit, a campaign and a creation
    time."""
    terms = ["not deleted", uow.reach(entity).bound(parameters).covers(row="")]
    for column in ("owner_id", "business_unit_id", "campaign_id"):
        if (wanted := getattr(selection, column)) is not None:
            terms.append(f"{column} = {parameters.add(wanted, 'uuid')}")
    if selection.period_from is not None:
        terms.append(f"created_at >= {_midnight(uow, selection.period_from, 0, parameters)}")
    if selection.period_to is not None:
        terms.append(f"created_at < {_midnight(uow, selection.period_to, 1, parameters)}")
    return " and ".join(terms)


def _midnight(uow: UnitOfWork, day: date, later: int, parameters: Parameters) -> str:
    # The database computes dates and zones, because Python has no day after its last date.
    zone = parameters.add(uow.runtime.directory.organization.time_zone, "text")
    return f"(({parameters.add(day, 'date')} + {later})::timestamp at time zone {zone})"
