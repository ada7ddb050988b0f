"""The parts of commands that all activity types share."""

from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from crm_activities.activity.domain import require_future
from crm_activities.activity.model import ActivityType
from crm_activities.activity.schemas import AboutFields, Reschedule, Snooze
from crm_activities.projections.record_ref import refer_to_any
from crm_contracts.catalogue import Event
from crm_contracts.types import RefInput
from crm_kit.events import timers
from crm_kit.records.patch import Patch, plain
from crm_kit.records.patching import require_status
from crm_kit.store.pace import RARELY
from crm_kit.work.uow import UnitOfWork

A = TypeVar("A", bound=ActivityType)


async def columns_of(uow: UnitOfWork, body: AboutFields) -> dict[str, Any]:
    """Return the columns of a new activity. This checks the record that the activity is about."""
    columns = {name: plain(value) for name, value in body if name != "regarding"}
    wake_for(uow, columns.get("remind_at"))
    return {**columns, **await _about(uow, body.regarding)}


async def changes_of(uow: UnitOfWork, activity: ActivityType, body: Patch) -> dict[str, Any]:
    """Return the patched fields as columns, and set the reminder. 409 if the activity is completed or canceled."""
    require_status(activity, *activity.live)
    values = body.onto(activity)
    if "regarding" in values:
        regarding = values.pop("regarding")
        # An unchanged reference is not a new one: its record may be inactive by now, or no longer readable to the
        # caller.
        if not _is_about(activity, regarding):
            values |= await _about(uow, regarding)
    if "remind_at" in values:
        activity.remind(values.pop("remind_at"))
    elif "due_at" in values:
        activity.move_reminder(values["due_at"])
    wake_for(uow, activity.remind_at)
    return values


def reschedule(uow: UnitOfWork, activity: A, body: Reschedule, event: type[Event]) -> A:
    """Change when the activity is due, and move its reminder with it. The same time again does nothing."""
    old = activity.due_at
    activity.reschedule(body.due_at)
    wake_for(uow, activity.remind_at)
    return uow.emit_if_changed(activity, event, old_due_at=old, new_due_at=activity.due_at)


def snooze(uow: UnitOfWork, activity: A, body: Snooze, event: type[Event]) -> A:
    """Postpone the reminder. 422 ``not-in-the-future`` for a time that has passed."""
    activity.snooze(body.until)
    require_future(body.until, uow.now)
    wake_for(uow, activity.remind_at)
    return uow.emit_if_changed(activity, event)


def reopen(uow: UnitOfWork, activity: A, event: type[Event]) -> A:
    """Reopen the activity. A reminder that was due meanwhile follows at once."""
    activity.reopen()
    wake_for(uow, activity.remind_at)
    return uow.emit(activity, event)


def wake_for(uow: UnitOfWork, remind_at: datetime | None) -> None:
    """Notify the timers of a reminder that is due before they look again."""
    if remind_at is not None and remind_at <= uow.now + timedelta(seconds=RARELY):
        uow.wakes(timers.CHANNEL)


async def remind_owner(uow: UnitOfWork, kind: type[ActivityType], activity_id: UUID, event: type[Event]) -> None:
    """Remind the owner, at the time of the reminder."""
    activity = await uow.load(kind, activity_id)
    activity.reminded_at = uow.now
    uow.emit(activity, event, remind_at=activity.remind_at)


def _is_about(activity: ActivityType, wanted: RefInput | None) -> bool:
    return wanted is not None and (wanted.type, wanted.id) == (activity.regarding_type, activity.regarding_id)


async def _about(uow: UnitOfWork, regarding: RefInput | None) -> dict[str, Any]:
    found = None if regarding is None else await refer_to_any(uow, regarding, "/regarding")
    return {"regarding_type": found.type if found else None, "regarding_id": found.id if found else None}
