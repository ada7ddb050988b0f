"""Commands on series of appointments."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of
from crm_activities.appointment.commands import attendees_of, uid_of
from crm_activities.appointment.domain import TIMES, Times, times_of
from crm_activities.recurring_appointment.model import RecurringAppointment
from crm_activities.recurring_appointment.occurrences import (
    delete_planned,
    expand,
    inherit,
    lock_occurrences,
    places_kept,
    reshape,
    take_over,
)
from crm_activities.recurring_appointment.planning import (
    FIRST,
    Shift,
    checked,
    cut_before,
    instants,
    moved,
    shared,
    text_of,
    times_at,
)
from crm_activities.recurring_appointment.schemas import (
    RecurringAppointmentCreate,
    RecurringAppointmentUpdate,
    SeriesEnd,
    SeriesSplit,
)
from crm_contracts.access import Privilege
from crm_contracts.activities.appointment import AppointmentDeleted
from crm_contracts.activities.recurring_appointment import (
    RecurringAppointmentAssigned,
    RecurringAppointmentCreated,
    RecurringAppointmentDeleted,
    RecurringAppointmentEnded,
    RecurringAppointmentUpdated,
)
from crm_contracts.types import utc_text
from crm_kit.errors import InvalidValue
from crm_kit.events import timers
from crm_kit.importing.importer import Importer
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.store.record import new_id
from crm_kit.work.calendar import zone
from crm_kit.work.uow import UnitOfWork

COPIED: Final = ("subject", "location", "description", "priority", "parties", "reminder_minutes", "show_as")


OLDEST_START: Final = timedelta(days=366)
"""How long ago a series may begin."""


async def create_series(uow: UnitOfWork, body: RecurringAppointmentCreate) -> RecurringAppointment:
    """Create a series with its first occurrences. The caller owns them."""
    await uow.start(RecurringAppointment)
    series = await make_series(uow, body)
    caller = uow.principal
    series.owner_type, series.owner_id, series.business_unit_id = caller.kind, caller.id, caller.unit
    expand(uow, series, FIRST)
    return uow.add(series, RecurringAppointmentCreated)


async def make_series(uow: UnitOfWork, body: RecurringAppointmentCreate) -> RecurringAppointment:
    """Make a series of a body without adding it to the unit of work; the timer makes its occurrences."""
    values = await columns_of(uow, body)
    times = times_of({name: values[name] for name in body.model_fields_set & set(TIMES)}, None, zone(uow).key)
    _require_recent(uow, times)
    found = checked(values.pop("rule"), times)
    values |= times.columns()
    values["parties"] = await attendees_of(uow, body.parties)
    uow.wakes(timers.CHANNEL)
    return _new(uow, **values, rule=text_of(found), skips=found.skips())


def _new(uow: UnitOfWork, **values: Any) -> RecurringAppointment:
    made_id = new_id()
    return RecurringAppointment(
        **values, id=made_id, uid=uid_of(made_id), sequence=0, exceptions=[], expanded_until=None, expand_at=uow.now
    )


async def update_series(uow: UnitOfWork, series_id: UUID, body: RecurringAppointmentUpdate) -> RecurringAppointment:
    """Change a series, and its occurrences that have not begun. A patch that changes no value does nothing."""
    series = await uow.get(RecurringAppointment, series_id, Privilege.WRITE)
    values = await changes_of(uow, series, body)
    if "parties" in values:
        values["parties"] = await attendees_of(uow, body.parties, series.parties)
    before, rule_sent = series.times, "rule" in values
    timed = await _retime(uow, series, values)
    apply(series, values)
    if not uow.changed(series):
        return series
    if timed:
        series.sequence += 1
        await reshape(uow, series, shared(values), None if rule_sent else Shift.of(before, series.times))
    else:
        await take_over(uow, series, shared(values))
    return uow.emit(series, RecurringAppointmentUpdated)


async def _retime(uow: UnitOfWork, series: RecurringAppointment, values: dict[str, Any]) -> bool:
    """Take times and rule out of the values and set them. Return whether they changed."""
    sent: dict[str, Any] = {name: values.pop(name) for name in TIMES if name in values}
    rule, before = values.pop("rule", None), series.times
    after = times_of(_given(sent), before, zone(uow).key)
    found = series.recurrence
    if after.scheduled_start_at != before.scheduled_start_at:
        _require_recent(uow, after)
    if rule is not None:
        found = checked(rule, after)
    elif after != before:
        found = moved(series.rule, before, after)
    if after == before and text_of(found) == series.rule:
        return False
    series.recur(found, after)
    series.due_at = after.scheduled_start_at
    return True


def _require_recent(uow: UnitOfWork, times: Times) -> None:
    """Raise 422 for a series that begins long ago: all of its occurrences would be made."""
    if times.scheduled_start_at < uow.now - OLDEST_START:
        raise InvalidValue("/scheduled_start_at", "too-early", "Send a start within the last 366 days.")


def _given(sent: dict[str, Any]) -> dict[str, Any]:
    for name in ("all_day", "start_zone", "end_zone"):
        if name in sent and sent[name] is None:
            raise InvalidValue(f"/{name}", "time-required", "Send a value, or leave this out.")
    return sent


async def split_series(uow: UnitOfWork, series_id: UUID, body: SeriesSplit) -> RecurringAppointment:
    """Change an occurrence and all that follow: the series ends before it, and a new one begins with it.

    Planned occurrences that follow go to the new series with their ids.
    """
    series = await uow.get(RecurringAppointment, series_id, Privilege.WRITE)
    require_status(series, "open")
    values = await changes_of(uow, series, body)
    at = values.pop("occurrence_at", None)
    parties = await attendees_of(uow, body.parties, series.parties) if "parties" in values else series.parties
    old = series.times
    first = _occurrence(series, at)
    sent: dict[str, Any] = {name: values.pop(name) for name in TIMES if name in values}
    times = times_of(_given(sent), first, zone(uow).key)
    rule = values.pop("rule", None)
    found = checked(rule, times) if rule is not None else moved(series.rule, first, times)
    kept = {name: getattr(series, name) for name in (*COPIED, "regarding_type", "regarding_id")}
    following = _new(
        uow, **(kept | values | {"parties": parties}), **times.columns(), rule=text_of(found), skips=found.skips()
    )
    following.owner_type, following.owner_id = series.owner_type, series.owner_id
    following.business_unit_id = series.business_unit_id
    series.recur(cut_before(series.recurrence, at), old)
    series.sequence += 1
    series.expand_at = None
    shift = Shift.of(first, times)
    left_out = [one for one in instants(series.exceptions) if one >= at]
    left_out += await places_kept(uow, series.id, at)
    following.exceptions = [utc_text(shift.moved(one)) for one in sorted(left_out)]
    await inherit(uow, series, following, at, shift)
    uow.emit(series, RecurringAppointmentUpdated)
    return uow.add(following, RecurringAppointmentCreated)


def _occurrence(series: RecurringAppointment, at: datetime | None) -> Times:
    if at == series.scheduled_start_at:
        raise InvalidValue("/occurrence_at", "first-occurrence", "Change the whole series instead.")
    if at is None or at not in series.recurrence.occurrences(at):
        raise InvalidValue("/occurrence_at", "no-such-occurrence", "Send occurrence_at of one of its occurrences.")
    return times_at(series.times, at)


async def end_series(uow: UnitOfWork, series_id: UUID, body: SeriesEnd) -> RecurringAppointment:
    """End a series: planned occurrences from then on are deleted, earlier ones stay."""
    series = await uow.get(RecurringAppointment, series_id, Privilege.WRITE)
    at = body.at or uow.now
    series.end(cut_before(series.recurrence, at), uow.now)
    await delete_planned(uow, series.id, at)
    return uow.emit(series, RecurringAppointmentEnded)


async def assign_series(uow: UnitOfWork, series_id: UUID, body: Assignment) -> RecurringAppointment:
    """Assign the series to another owner, who will own its later occurrences."""
    series = await uow.get(RecurringAppointment, series_id, Privilege.ASSIGN)
    await assign(uow, series, body, RecurringAppointmentAssigned)
    return series


async def delete_series(uow: UnitOfWork, series_id: UUID) -> None:
    """Delete a series with all its occurrences, and nothing else."""
    series = await uow.get(RecurringAppointment, series_id, Privilege.DELETE)
    for one in await lock_occurrences(uow, series.id):
        uow.remove(one, AppointmentDeleted)
    uow.remove(series, RecurringAppointmentDeleted)


IMPORTER = Importer(
    RecurringAppointment,
    RecurringAppointmentCreate,
    RecurringAppointmentCreated,
    make_series,
    about="The appointments of each series follow within a minute.",
)
