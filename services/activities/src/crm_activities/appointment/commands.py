"""Commands on appointments."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from crm_activities.activity.commands import changes_of, columns_of, reopen, snooze, wake_for
from crm_activities.activity.parties import parties_of
from crm_activities.activity.schemas import Snooze
from crm_activities.appointment.domain import TIMES, Times, reminder_of, require_one_organizer, times_of
from crm_activities.appointment.model import Appointment
from crm_activities.appointment.schemas import (
    AppointmentConfirm,
    AppointmentCreate,
    AppointmentReschedule,
    AppointmentUpdate,
    AttendeeInput,
)
from crm_activities.recurring_appointment.model import RecurringAppointment
from crm_contracts.access import Privilege
from crm_contracts.activities.appointment import (
    AppointmentAssigned,
    AppointmentCanceled,
    AppointmentCompleted,
    AppointmentConfirmed,
    AppointmentCreated,
    AppointmentDeleted,
    AppointmentFreed,
    AppointmentHeldTentatively,
    AppointmentReopened,
    AppointmentRescheduled,
    AppointmentUpdated,
    Reply,
)
from crm_contracts.activities.recurring_appointment import RecurringAppointmentUpdated
from crm_contracts.types import utc_text
from crm_kit.errors import InvalidValue
from crm_kit.importing.importer import Importer
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.store.record import new_id
from crm_kit.work.calendar import zone
from crm_kit.work.uow import UnitOfWork


async def create_appointment(uow: UnitOfWork, body: AppointmentCreate) -> Appointment:
    """Create an appointment. The caller owns it."""
    await uow.start(Appointment)
    return uow.add(await make_appointment(uow, body), AppointmentCreated)


async def make_appointment(uow: UnitOfWork, body: AppointmentCreate) -> Appointment:
    """Make an appointment of a body without adding it to the unit of work. Creates and imports share this."""
    values = await columns_of(uow, body)
    shown = values.pop("show_as")
    times = times_of({name: values[name] for name in body.model_fields_set & set(TIMES)}, None, zone(uow).key)
    values |= times.columns()
    values["parties"] = await attendees_of(uow, body.parties)
    minutes = values["reminder_minutes"]
    if minutes is not None:
        _require_one_reminder(body)
        values["remind_at"] = reminder_of(times, minutes)
        wake_for(uow, values["remind_at"])
    made_id = new_id()
    appointment = Appointment(**values, id=made_id, uid=uid_of(made_id), sequence=0, occurrence_changed=False)
    appointment.show_as(shown)
    return appointment


def uid_of(record_id: UUID) -> str:
    """Return the identifier of a record in calendars. It never changes."""
    return f"{record_id}@liaison"


async def update_appointment(uow: UnitOfWork, appointment_id: UUID, body: AppointmentUpdate) -> Appointment:
    """Change fields of a planned appointment. A patch that changes no value does nothing."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    values = await changes_of(uow, appointment, body)
    sent: dict[str, Any] = {name: values.pop(name) for name in TIMES if name in values}
    if "parties" in values:
        appointment.parties = await attendees_of(uow, body.parties, appointment.parties)
        values.pop("parties")
    if "remind_at" in body.model_fields_set:
        appointment.reminder_minutes = None
    if values.get("reminder_minutes") is not None:
        _require_one_reminder(body)
    minutes = values.pop("reminder_minutes", None)
    if sent:
        appointment.take_place(_moved(uow, appointment, sent))
    if "reminder_minutes" in body.model_fields_set and not (minutes is None and "remind_at" in body.model_fields_set):
        appointment.remind_before(minutes)
    apply(appointment, values)
    wake_for(uow, appointment.remind_at)
    _mark_changed(uow, appointment)
    return uow.emit_if_changed(appointment, AppointmentUpdated)


async def reschedule_appointment(uow: UnitOfWork, appointment_id: UUID, body: AppointmentReschedule) -> Appointment:
    """Change when an appointment takes place. The same time again does nothing."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    old = appointment.due_at
    appointment.require("reschedule")
    appointment.take_place(_moved(uow, appointment, dict(body)))
    wake_for(uow, appointment.remind_at)
    _mark_changed(uow, appointment)
    return uow.emit_if_changed(appointment, AppointmentRescheduled, old_due_at=old, new_due_at=appointment.due_at)


def _mark_changed(uow: UnitOfWork, appointment: Appointment) -> None:
    """Keep an occurrence that is changed by itself from changes of its series."""
    if appointment.series_id is not None and uow.changed(appointment):
        appointment.occurrence_changed = True


def _moved(uow: UnitOfWork, appointment: Appointment, sent: dict[str, Any]) -> Times:
    for name in ("all_day", "start_zone", "end_zone"):
        if name in sent and sent[name] is None:
            raise InvalidValue(f"/{name}", "time-required", "Send a value, or leave this out.")
    return times_of(sent, appointment.times, zone(uow).key)


async def free_appointment(uow: UnitOfWork, appointment_id: UUID) -> Appointment:
    """Show the time as free."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    appointment.free()
    return uow.emit(appointment, AppointmentFreed)


async def hold_appointment(uow: UnitOfWork, appointment_id: UUID) -> Appointment:
    """Reserve the time tentatively."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    appointment.hold_tentatively()
    return uow.emit(appointment, AppointmentHeldTentatively)


async def confirm_appointment(uow: UnitOfWork, appointment_id: UUID, body: AppointmentConfirm) -> Appointment:
    """Reserve the time. The state that it has already does nothing."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    appointment.confirm(body.reason)
    return uow.emit_if_changed(appointment, AppointmentConfirmed, reason=appointment.status_reason)


async def complete_appointment(uow: UnitOfWork, appointment_id: UUID) -> Appointment:
    """Complete the appointment."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    appointment.complete(uow.now)
    return uow.emit(appointment, AppointmentCompleted, completed_at=uow.now)


async def cancel_appointment(uow: UnitOfWork, appointment_id: UUID) -> Appointment:
    """Cancel the appointment."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.WRITE)
    appointment.cancel()
    return uow.emit(appointment, AppointmentCanceled)


async def reopen_appointment(uow: UnitOfWork, appointment_id: UUID) -> Appointment:
    """Plan the appointment again."""
    return reopen(uow, await uow.get(Appointment, appointment_id, Privilege.WRITE), AppointmentReopened)


async def snooze_appointment(uow: UnitOfWork, appointment_id: UUID, body: Snooze) -> Appointment:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(Appointment, appointment_id, Privilege.WRITE), body, AppointmentUpdated)


async def assign_appointment(uow: UnitOfWork, appointment_id: UUID, body: Assignment) -> Appointment:
    """Assign the appointment to another owner."""
    appointment = await uow.get(Appointment, appointment_id, Privilege.ASSIGN)
    await assign(uow, appointment, body, AppointmentAssigned)
    return appointment


async def delete_appointment(uow: UnitOfWork, appointment_id: UUID) -> None:
    """Delete an appointment of any status. Its series does not make a deleted occurrence again."""
    of_series = (await uow.execute(select(Appointment.series_id).where(Appointment.id == appointment_id))).scalar()
    if of_series is not None:
        # Commands on a series lock it before its occurrences.
        await uow.lock_all(RecurringAppointment, [of_series])
    appointment = await uow.get(Appointment, appointment_id, Privilege.DELETE)
    if of_series is not None and appointment.occurrence_at is not None:
        series = await uow.load(RecurringAppointment, of_series)
        series.leave_out(appointment.occurrence_at)
        uow.emit_if_changed(series, RecurringAppointmentUpdated)
    uow.remove(appointment, AppointmentDeleted)


async def attendees_of(
    uow: UnitOfWork, wanted: list[AttendeeInput], before: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Return who takes part as stored values. An answer stays unless another is sent."""
    require_one_organizer([one.role for one in wanted])
    known = {_who(one): one for one in before or ()}
    kept = []
    for asked, party in zip(wanted, await parties_of(uow, wanted, before or ()), strict=True):
        earlier = known.get(_who(party), {})
        reply = (asked.reply or Reply(earlier.get("reply", Reply.NEEDS_ACTION))).value
        at = asked.replied_at
        if at is None and reply == earlier.get("reply"):
            replied = earlier["replied_at"]
        else:
            replied = None if reply == Reply.NEEDS_ACTION else utc_text(at or uow.now)
        kept.append({**party, "reply": reply, "replied_at": replied})
    return kept


def _who(party: dict[str, Any]) -> tuple[str | None, str | None]:
    address = party["address"]
    return (party["party"]["id"] if party["party"] else None, address.lower() if address else None)


def _require_one_reminder(body: AppointmentCreate | AppointmentUpdate) -> None:
    if "remind_at" in body.model_fields_set and body.remind_at is not None:
        raise InvalidValue("/remind_at", "contradicts-reminder", "Send either remind_at or reminder_minutes.")


IMPORTER = Importer(
    Appointment,
    AppointmentCreate,
    AppointmentCreated,
    make_appointment,
    about="An appointment that is over may have `show_as` free, so that it blocks nothing.",
)
