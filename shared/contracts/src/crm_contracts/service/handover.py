"""Handovers: what service management does for the removal of a user, team or API client."""

from typing import ClassVar

from crm_contracts.catalogue import Entity, Event
from crm_contracts.removals import HandoverRecord

SERVICE_HANDOVER = Entity(
    service="service",
    name="service_handover",
    collection="service-handovers",
    record=HandoverRecord,
    owned=False,
    announcement=True,
)


class ServiceHandoverEvent(Event):
    """Something happened to a handover of service."""

    entity: ClassVar[Entity] = SERVICE_HANDOVER
    record: HandoverRecord


class ServiceHandoverCreated(ServiceHandoverEvent):
    """The service has counted the records of a user, team or API client that is to be deleted."""

    type: ClassVar[str] = "crm.service.service_handover.created.v1"


class ServiceHandoverUpdated(ServiceHandoverEvent):
    """Records got their new owner, or the handover is completed or canceled."""

    type: ClassVar[str] = "crm.service.service_handover.updated.v1"


class ServiceHandoverSnapshot(ServiceHandoverEvent):
    """The current state of a handover, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.service.service_handover.snapshot.v1"
