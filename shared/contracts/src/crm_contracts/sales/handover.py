"""Handovers: what sales does for the removal of a user, team or API client."""

from typing import ClassVar

from crm_contracts.catalogue import Entity, Event
from crm_contracts.removals import HandoverRecord

SALES_HANDOVER = Entity(
    service="sales",
    name="sales_handover",
    collection="sales-handovers",
    record=HandoverRecord,
    owned=False,
    announcement=True,
)


class SalesHandoverEvent(Event):
    """Something happened to a handover of sales."""

    entity: ClassVar[Entity] = SALES_HANDOVER
    record: HandoverRecord


class SalesHandoverCreated(SalesHandoverEvent):
    """The service has counted the records of a user, team or API client that is to be deleted."""

    type: ClassVar[str] = "crm.sales.sales_handover.created.v1"


class SalesHandoverUpdated(SalesHandoverEvent):
    """Records got their new owner, or the handover is completed or canceled."""

    type: ClassVar[str] = "crm.sales.sales_handover.updated.v1"


class SalesHandoverSnapshot(SalesHandoverEvent):
    """The current state of a handover, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.sales_handover.snapshot.v1"
