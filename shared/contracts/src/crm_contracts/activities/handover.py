"""Handovers: what activities does for the removal of a user, team or API client."""

from typing import ClassVar

from crm_contracts.catalogue import Entity, Event
from crm_contracts.removals import HandoverRecord

ACTIVITIES_HANDOVER = Entity(
    service="activities",
    name="activities_handover",
    collection="activities-handovers",
    record=HandoverRecord,
    owned=False,
    announcement=True,
)


class ActivitiesHandoverEvent(Event):
    """Something happened to a handover of activities."""

    entity: ClassVar[Entity] = ACTIVITIES_HANDOVER
    record: HandoverRecord


class ActivitiesHandoverCreated(ActivitiesHandoverEvent):
    """The service has counted the records of a user, team or API client that is to be deleted."""

    type: ClassVar[str] = "crm.activities.activities_handover.created.v1"


class ActivitiesHandoverUpdated(ActivitiesHandoverEvent):
    """Records got their new owner, or the handover is completed or canceled."""

    type: ClassVar[str] = "crm.activities.activities_handover.updated.v1"


class ActivitiesHandoverSnapshot(ActivitiesHandoverEvent):
    """The current state of a handover, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.activities_handover.snapshot.v1"
