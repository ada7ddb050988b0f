"""The occurrences of a series: made ahead of time, changed with it and deleted with it."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, or_, select, union, update

from crm_activities.activity.commands import wake_for
from crm_activities.appointment.commands import uid_of
from crm_activities.appointment.domain import reminder_of
from crm_activities.appointment.model import Appointment
from crm_activities.attachment.model import Attachment
from crm_activities.note.model import Note
from crm_activities.recurring_appointment.model import RecurringAppointment
from crm_activities.recurring_appointment.planning import (
    CHUNK,
    FIRST,
    WINDOW,
    Shift,
    due_occurrences,
    instants,
    match,
    next_look,
    shared,
    times_at,
)
from crm_contracts.activities.appointment import AppointmentCreated, AppointmentDeleted, AppointmentUpdated
from crm_contracts.activities.recurring_appointment import RecurringAppointmentExpanded
from crm_contracts.sentences import said
from crm_contracts.types import utc_text
from crm_kit.errors import DomainError
from crm_kit.events import timers
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork

MOST_AT_ONCE: Final = 1000
"""The most occurrences that one command may change."""
FARTHEST: Final = 100_000
"""The most occurrences of a rule that one command looks at."""


def expand(uow: UnitOfWork, series: RecurringAppointment, most: int) -> int:
    """Make the next occurrences of a locked series, at most this many, and set when to go on."""
    found, horizon = series.recurrence, uow.now + WINDOW
    # The first occurrence is made however far away it is.
    if series.expanded_until is None:
        horizon = max(horizon, series.scheduled_start_at)
    due = due_occurrences(found, instants(series.exceptions), series.expanded_until, horizon)
    taken = list(islice(due, most))
    for at in taken:
        _make(uow, series, at)
        series.expanded_until = at
    series.expand_at = next_look(found, series.expanded_until)
    if len(taken) < most and series.expand_at is not None and series.expand_at <= uow.now:
        # What is left within the window was deleted.
        series.expanded_until = horizon
        series.expand_at = next_look(found, horizon)
    if series.expand_at is not None and series.expand_at <= uow.now:
        uow.wakes(timers.CHANNEL)
    return len(taken)


async def reshape(uow: UnitOfWork, series: RecurringAppointment, fields: dict[str, Any], shift: Shift | None) -> None:
    """Bring the occurrences that have not begun in line with a changed rule or time, and give them these fields.

    If the series moved (``shift``), its occurrences move along and keep their ids. Of those that were changed by themselves,
    canceled or completed, only the place in the rule moves. With another rule, each occurrence takes a place in it and keeps its
    id, as far as there are places.
    """
    table = Appointment.__table__
    locked = await lock_occurrences(uow, series.id, table.c.occurrence_at >= uow.now)
    if shift is not None:
        await _move(uow, series, shift, locked)
    planned = {one.occurrence_at: one for one in locked if _is_planned(one) and one.occurrence_at is not None}
    others = [one for one in locked if one not in planned.values()]
    for one in others:
        uow.emit_if_changed(one, AppointmentUpdated)
    taken = {*instants(series.exceptions), *(one.occurrence_at for one in others if one.occurrence_at is not None)}
    # What has begun has its row, at its old time.
    begins = uow.now if shift is None else shift.moved(uow.now)
    await _place(uow, series, planned, taken, begins, fields)
    expand(uow, series, CHUNK)


async def inherit(
    uow: UnitOfWork, series: RecurringAppointment, following: RecurringAppointment, since: datetime, shift: Shift
) -> None:
    """Give the planned occurrences of a series from a place on to the series that follows it. They keep their ids.

    Those that were changed by themselves, canceled or completed stay with the series that made them.
    """
    table = Appointment.__table__
    planned: dict[datetime, Appointment] = {}
    for one in await lock_occurrences(uow, series.id, table.c.occurrence_at >= since, *_planned()):
        place = shift.moved(one.occurrence_at) if one.occurrence_at is not None else None
        if place is None or place in planned:
            # Two local times became one when the clocks go forward.
            uow.remove(one, AppointmentDeleted)
            continue
        planned[place] = one
        one.series_id, one.uid, one.sequence = following.id, following.uid, following.sequence
        if one.status_reason == series.show_as != following.show_as:
            one.show_as(following.show_as)
    until = series.expanded_until
    if until is None or until < since:
        expand(uow, following, FIRST)
        return
    following.expanded_until = max(shift.moved(until), following.scheduled_start_at)
    taken, fields = set(instants(following.exceptions)), shared(following.__dict__)
    await _place(uow, following, planned, taken, following.scheduled_start_at, fields)
    expand(uow, following, CHUNK)


async def _place(
    uow: UnitOfWork,
    series: RecurringAppointment,
    planned: Mapping[datetime, Appointment],
    taken: Set[datetime],
    since: datetime,
    fields: dict[str, Any],
) -> None:
    """Bring planned occurrences, by the places that they have, to places of the rule from an instant on that are not taken.

    Each gets one within the window, as far as the rule has so many. The others are deleted, or become appointments of their
    own if they have files or notes. What is missing is made.
    """
    until = series.expanded_until
    if until is None:
        return
    wanted: list[datetime] = []
    for at in islice(series.recurrence.occurrences(max(until, uow.now + WINDOW)), FARTHEST):
        if len(wanted) >= (len(planned) if at > until else MOST_AT_ONCE):
            break
        if at >= since and at not in taken:
            wanted.append(at)
    if wanted:
        series.expanded_until = wanted[-1] if len(wanted) == MOST_AT_ONCE else max(until, wanted[-1])
    places = match(sorted(planned), wanted)
    await _leave(uow, [one for at, one in planned.items() if places.get(at, at) != one.occurrence_at])
    held = await _with_papers(uow, [one for at, one in planned.items() if at not in places])
    for origin, one in planned.items():
        place = places.get(origin)
        if place is None and one.id in held:
            # Somebody has prepared it. It becomes an appointment of its own.
            one.series_id, one.occurrence_at, one.uid = None, None, uid_of(one.id)
            uow.emit_if_changed(one, AppointmentUpdated)
            continue
        if place is None:
            uow.remove(one, AppointmentDeleted)
            continue
        one.occurrence_at = place
        give(one, fields)
        one.take_place(times_at(series.times, place))
        uow.emit_if_changed(one, AppointmentUpdated)
    there = set(places.values())
    for at in wanted:
        if at not in there:
            _make(uow, series, at)


async def _with_papers(uow: UnitOfWork, ones: Sequence[Appointment]) -> set[UUID]:
    """Return the ids of those that have files or notes."""
    ids = [one.id for one in ones]
    if not ids:
        return set()
    papers = (select(kind.regarding_id).where(kind.regarding_id.in_(ids)) for kind in (Attachment, Note))
    return set((await uow.execute(union(*papers))).scalars())


async def _leave(uow: UnitOfWork, moving: Sequence[Appointment]) -> None:
    """Let occurrences leave their places before they take others.

    A place belongs to one occurrence at a time. Those of a daily series would meet while they move by a day.
    """
    wanted = Appointment.__table__.c.id.in_([one.id for one in moving])
    await uow.execute(update(Appointment).where(wanted).values(occurrence_at=None))


def _is_planned(one: Appointment) -> bool:
    return one.status in Appointment.live and not one.occurrence_changed


def _planned() -> tuple[Any, ...]:
    """The conditions of occurrences that were not changed by themselves, and are neither canceled nor completed."""
    table = Appointment.__table__
    return table.c.status.in_(Appointment.live), table.c.occurrence_changed.is_(False)


async def _move(uow: UnitOfWork, series: RecurringAppointment, shift: Shift, locked: list[Appointment]) -> None:
    """Move the places of occurrences in the rule, and those that were deleted."""
    series.exceptions = [utc_text(shift.moved(at)) for at in instants(series.exceptions)]
    if series.expanded_until is not None:
        series.expanded_until = shift.moved(series.expanded_until)
    places = {one.id: shift.moved(one.occurrence_at) for one in locked if one.occurrence_at is not None}
    moving = [one for one in locked if one.occurrence_at != places.get(one.id)]
    await _leave(uow, moving)
    for one in moving:
        one.occurrence_at = places[one.id]


def give(one: Appointment, fields: dict[str, Any]) -> None:
    """Give fields of a series to one of its occurrences."""
    for name, value in fields.items():
        if name != "reminder_minutes":
            setattr(one, name, value)
    if "reminder_minutes" in fields:
        one.remind_before(fields["reminder_minutes"])


def _make(uow: UnitOfWork, series: RecurringAppointment, at: datetime) -> None:
    times = times_at(series.times, at)
    minutes = series.reminder_minutes
    remind_at = None if minutes is None else reminder_of(times, minutes)
    if remind_at is not None and remind_at < uow.now:
        remind_at = None
    wake_for(uow, remind_at)
    made = Appointment(
        **shared(series.__dict__),
        **times.columns(),
        remind_at=remind_at,
        uid=series.uid,
        sequence=series.sequence,
        series_id=series.id,
        occurrence_at=at,
        occurrence_changed=False,
        owner_type=series.owner_type,
        owner_id=series.owner_id,
        business_unit_id=series.business_unit_id,
    )
    made.show_as(series.show_as)
    uow.add(made, AppointmentCreated)


def due_series(now: datetime) -> Select[UUID]:
    """Select the series of which further occurrences have to be made."""
    kind = RecurringAppointment
    return select(kind.id).where(kind.status == "open", kind.expand_at <= now).order_by(kind.expand_at)


async def go_on(series_id: UUID, uow: UnitOfWork) -> None:
    """Make the next occurrences of a series that is due."""
    series = await uow.load(RecurringAppointment, series_id)
    uow.emit(series, RecurringAppointmentExpanded, made=expand(uow, series, CHUNK))


async def lock_occurrences(uow: UnitOfWork, series_id: UUID, *conditions: Any) -> list[Appointment]:
    """Lock occurrences of a series in the order of their ids. 409 ``too-many-occurrences`` above 1,000."""
    table = Appointment.__table__
    columns = [table.c[name] for name in stored_columns(Appointment)]
    wanted = select(*columns).where(table.c.series_id == series_id, *conditions).order_by(table.c.id)
    await uow.transaction()
    rows = (await uow.execute(wanted.limit(MOST_AT_ONCE + 1).with_for_update(key_share=True))).mappings().all()
    if len(rows) > MOST_AT_ONCE:
        raise DomainError(
            "too-many-occurrences",
            said("End the series instead: it has more than {most} such appointments.", most=MOST_AT_ONCE),
        )
    await uow.names.learn(Appointment, [dict(row) for row in rows])
    return [uow.adopt(Appointment.from_row(dict(row))) for row in rows]


async def places_kept(uow: UnitOfWork, series_id: UUID, since: datetime) -> list[datetime]:
    """Return the places in the rule, from an instant on, of occurrences that were changed, canceled or completed."""
    table = Appointment.__table__
    found = select(table.c.occurrence_at).where(
        table.c.series_id == series_id,
        table.c.occurrence_at >= since,
        or_(table.c.occurrence_changed, table.c.status.not_in(Appointment.live)),
    )
    return list((await uow.execute(found.limit(MOST_AT_ONCE))).scalars())


async def delete_planned(uow: UnitOfWork, series_id: UUID, since: datetime) -> None:
    """Delete the planned occurrences whose place in the rule is at an instant or later, changed ones too."""
    table = Appointment.__table__
    conditions = (table.c.occurrence_at >= since, table.c.status.in_(Appointment.live))
    for one in await lock_occurrences(uow, series_id, *conditions):
        uow.remove(one, AppointmentDeleted)


async def take_over(uow: UnitOfWork, series: RecurringAppointment, values: dict[str, Any]) -> None:
    """Give fields of the series to its planned occurrences that have not begun and were not changed by themselves."""
    table = Appointment.__table__
    for one in await lock_occurrences(uow, series.id, table.c.scheduled_start_at >= uow.now, *_planned()):
        give(one, values)
        uow.emit_if_changed(one, AppointmentUpdated)
