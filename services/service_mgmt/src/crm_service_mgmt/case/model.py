"""The table of cases, and the changes of a case."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Computed, Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.choices import CustomerType
from crm_contracts.service.case import CaseRecord, CaseResolution
from crm_contracts.service.choices import CaseOrigin, CasePriority, CaseType, Severity
from crm_kit.store.columns import (
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import refers
from crm_kit.store.searching import search_column, search_rule
from crm_service_mgmt.case.domain import LIFECYCLE
from crm_service_mgmt.db import Base


class Case(OwnedRecord, Stateful, Base):
    """A request of a customer, from first contact to resolution."""

    __tablename__ = "case"
    numbered = "CAS"
    record_model: ClassVar[type[BaseModel]] = CaseRecord
    called = "number"
    lifecycle = LIFECYCLE

    number: Mapped[str] = mapped_column(String(20), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    # No foreign keys: customers are copies, and a rebuild empties and refills their table.
    customer_type: Mapped[CustomerType] = mapped_column(text_enum(CustomerType))
    customer_id: Mapped[UUID] = mapped_column(info=refers("account", "contact"))
    contact_id: Mapped[UUID | None] = mapped_column(info=refers("contact"))
    type: Mapped[CaseType | None] = mapped_column(text_enum(CaseType))
    origin: Mapped[CaseOrigin | None] = mapped_column(text_enum(CaseOrigin))
    priority: Mapped[CasePriority] = mapped_column(text_enum(CasePriority))
    severity: Mapped[Severity | None] = mapped_column(text_enum(Severity))
    description: Mapped[str | None] = mapped_column(Text)
    product_id: Mapped[UUID | None] = mapped_column(info=refers("product"))
    escalated_at: Mapped[datetime | None]
    first_responded_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolutions: Mapped[list[Any]] = mapped_column(JSONB)

    priority_rank: Mapped[int] = mapped_column(
        Computed("case priority when 'low' then 1 when 'normal' then 2 else 3 end", persisted=True), sort_order=98
    )
    """The sort key of the priority."""
    search_text: Mapped[str] = search_column("title", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("case", "title"),
        Index(None, "customer_id", "created_at", "id"),
        Index(None, "priority_rank", "id"),
        *sorted_indexes("case", "resolved_at"),
        *reference_indexes("case", "contact_id", "product_id"),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Rule out a second escalation."""
        return {"escalate": "The case is already escalated."} if values["escalated_at"] else {}

    def hold(self, at: datetime) -> None:
        """Put the case on hold."""
        self.move("hold")
        self._respond(at)

    def wait(self, at: datetime) -> None:
        """Wait for details from the customer."""
        self.move("wait")
        self._respond(at)

    def research(self, at: datetime) -> None:
        """Mark the case as being researched."""
        self.move("research")
        self._respond(at)

    def resume(self) -> None:
        """Resume the case."""
        self.move("resume")

    def escalate(self, at: datetime) -> None:
        """Escalate the case. It stays escalated in every later status."""
        self.move("escalate")
        self.escalated_at = at

    def resolve(self, resolution: CaseResolution) -> None:
        """Resolve the case (Dataverse: CloseIncident)."""
        self.move("resolve", resolution.kind)
        self._respond(resolution.resolved_at)
        self.resolved_at = resolution.resolved_at
        # Assign a new list: the unit of work compares with the old one.
        self.resolutions = [*self.resolutions, resolution.model_dump(mode="json")]

    def cancel(self) -> None:
        """Cancel the case."""
        self.move("cancel")

    def reactivate(self, at: datetime) -> CaseResolution | None:
        """Reactivate the case. Return the reversed resolution; None for a case that had been canceled."""
        was_resolved = self.status == "resolved"
        self.move("reactivate")
        self.resolved_at = None
        if not was_resolved:
            return None
        *earlier, last = self.resolutions
        undone = CaseResolution.stored({**last, "reversed_at": at})
        self.resolutions = [*earlier, {**last, **undone.model_dump(mode="json")}]
        return undone

    def _respond(self, at: datetime) -> None:
        """Record the first response. Later responses and reactivating do not change it."""
        if self.first_responded_at is None:
            self.first_responded_at = at
