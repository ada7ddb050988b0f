"""The HTTP face of appointments."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_activities.activity.schemas import Snooze
from crm_activities.appointment import commands
from crm_activities.appointment.conflicts import conflicts_at, people_of
from crm_activities.appointment.domain import TIMES, times_of
from crm_activities.appointment.model import Appointment
from crm_activities.appointment.schemas import (
    AppointmentConfirm,
    AppointmentCreate,
    AppointmentRead,
    AppointmentReschedule,
    AppointmentUpdate,
    BusyQuery,
    Conflicts,
)
from crm_kit.http.requests import NOT_KEYED, Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import READ_HEADERS, Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_kit.store.presenter import to_json
from crm_kit.work.calendar import zone
from crm_kit.work.uow import UnitOfWork

router = APIRouter(prefix="/appointments", tags=["appointments"], route_class=about(Appointment))

APPOINTMENTS = Listing(
    Appointment,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority", "scheduled_start_at"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)
CONFLICTS = "crm-conflicts"


async def warned(uow: UnitOfWork, answer: Response, appointment: Appointment) -> Response:
    """Add to an answer how many other appointments of its people overlap."""
    if appointment.status in Appointment.live and appointment.status_reason != "free":
        found = await conflicts_at(uow, appointment.times, people_of(appointment), appointment.id)
        answer.headers[CONFLICTS] = f"{len(found['items'])}{'+' if found['more'] else ''}"
    return answer


@router.get("", response_model=Page[AppointmentRead], operation_id="list_appointments")
@lists(APPOINTMENTS)
async def list_appointments(request: Request, uow: Uow) -> Response:
    """Appointments you may read: filter, search subject, location and parties with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`: a week is `scheduled_end_at[gt]=…&scheduled_start_at[lt]=…`. Sort by
    created_at, modified_at, due_at, subject, priority (low, normal, high) or scheduled_start_at.
    """
    return await list_records(uow, APPOINTMENTS, request)


@router.post("/query", response_model=Page[AppointmentRead], operation_id="query_appointments")
async def query_appointments(query: Query, uow: Uow) -> Response:
    """Appointments by a JSON filter with and, or, not."""
    return await query_records(uow, APPOINTMENTS, query)


@router.post("/conflicts", response_model=Conflicts, operation_id="find_conflicts", openapi_extra=NOT_KEYED)
async def find_conflicts(body: BusyQuery, uow: Uow) -> Response:
    """Who is busy at a time: the appointments of users, contacts, leads and accounts that overlap with it.

    Appointments count that are tentative, busy or out of office, and in which the person takes part without having
    declined, or which the user owns. Two that only touch do not overlap. Of an appointment that you may not read you learn
    only the time.
    """
    sent = {name: getattr(body, name) for name in body.model_fields_set & set(TIMES)}
    times = times_of({name: value for name, value in sent.items() if value is not None}, None, zone(uow).key)
    return Response(to_json(await conflicts_at(uow, times, body.party_ids)), 200, READ_HEADERS, "application/json")


@router.post("", response_model=AppointmentRead, status_code=201, operation_id="create_appointment")
async def create_appointment(body: AppointmentCreate, uow: Uow) -> Response:
    """A new appointment, owned by you, and busy unless `show_as` says otherwise.

    Send `scheduled_start_at` and `scheduled_end_at`, or `all_day` with `start_date` and `end_date` (inclusive). Zones say in
    which local time it is meant. The header `Crm-Conflicts` says how many other appointments of its people overlap; they
    never prevent it. `regarding` may be any record of any service that you may read, a party an account, contact, lead or
    user: 422 `unknown-reference` or `inactive-reference` for others; `party-or-address` for a party that is neither;
    `one-organizer` for a second one; `end-before-start`; `too-long` beyond 366 days.
    """
    appointment = await commands.create_appointment(uow, body)
    return await warned(uow, await created(uow, appointment), appointment)


add_import_routes(router, commands.IMPORTER)


@router.get("/{appointment_id}", response_model=AppointmentRead, operation_id="get_appointment")
async def get_appointment(appointment_id: UUID, request: Request, uow: Uow) -> Response:
    """One appointment, with its version as ETag."""
    return await read(uow, Appointment, appointment_id, request)


@router.get("/{appointment_id}/conflicts", response_model=Conflicts, operation_id="list_appointment_conflicts")
async def list_appointment_conflicts(appointment_id: UUID, uow: Uow) -> Response:
    """The other appointments of its owner and of who takes part that overlap, the first 100 by their start.

    Of an appointment that you may not read you learn only the time.
    """
    appointment = await uow.read(Appointment, appointment_id)
    found = await conflicts_at(uow, appointment.times, people_of(appointment), appointment.id)
    return Response(to_json(found), 200, READ_HEADERS, "application/json")


@router.patch("/{appointment_id}", response_model=AppointmentRead, operation_id="update_appointment")
async def update_appointment(appointment_id: UUID, body: AppointmentUpdate, uow: Uow) -> Response:
    """Change fields of a planned appointment (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    A new start without an end keeps the duration. Another time increments `sequence`, sets the answers of those invited to
    `needs_action` (RFC 5546 §2.1.4) and moves the reminder. `parties` replaces all of them; who stays keeps the answer.
    Completed and canceled appointments are read-only until reopened: 409. Rules as for a new one.
    """
    appointment = await commands.update_appointment(uow, appointment_id, body)
    return await warned(uow, await one(uow, appointment), appointment)


@router.delete("/{appointment_id}", status_code=204, operation_id="delete_appointment")
async def delete_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Delete an appointment, whatever its state."""
    await commands.delete_appointment(uow, appointment_id)
    return gone()


@router.get("/{appointment_id}/history", response_model=HistoryPage, operation_id="list_appointment_history")
@shows_history
async def list_appointment_history(appointment_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Appointment, appointment_id, request)


@router.post("/{appointment_id}/free", response_model=AppointmentRead, operation_id="free_appointment")
async def free_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Show the time as free: the appointment takes place and blocks nothing."""
    return await one(uow, await commands.free_appointment(uow, appointment_id))


@router.post("/{appointment_id}/tentative", response_model=AppointmentRead, operation_id="tentative_appointment")
async def tentative_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Reserve the time tentatively."""
    appointment = await commands.hold_appointment(uow, appointment_id)
    return await warned(uow, await one(uow, appointment), appointment)


@router.post("/{appointment_id}/confirm", response_model=AppointmentRead, operation_id="confirm_appointment")
async def confirm_appointment(
    appointment_id: UUID, uow: Uow, body: Annotated[AppointmentConfirm | None, Body()] = None
) -> Response:
    """Reserve the time: busy, or out of office. The state that it has already keeps the version."""
    appointment = await commands.confirm_appointment(uow, appointment_id, body or AppointmentConfirm())
    return await warned(uow, await one(uow, appointment), appointment)


@router.post("/{appointment_id}/complete", response_model=AppointmentRead, operation_id="complete_appointment")
async def complete_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Complete the appointment: `completed_at` is now. Read-only until reopened."""
    return await one(uow, await commands.complete_appointment(uow, appointment_id))


@router.post("/{appointment_id}/cancel", response_model=AppointmentRead, operation_id="cancel_appointment")
async def cancel_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Cancel the appointment. Read-only until reopened."""
    return await one(uow, await commands.cancel_appointment(uow, appointment_id))


@router.post("/{appointment_id}/reopen", response_model=AppointmentRead, operation_id="reopen_appointment")
async def reopen_appointment(appointment_id: UUID, uow: Uow) -> Response:
    """Plan the appointment again, busy and without `completed_at`."""
    appointment = await commands.reopen_appointment(uow, appointment_id)
    return await warned(uow, await one(uow, appointment), appointment)


@router.post("/{appointment_id}/reschedule", response_model=AppointmentRead, operation_id="reschedule_appointment")
async def reschedule_appointment(appointment_id: UUID, body: AppointmentReschedule, uow: Uow) -> Response:
    """Change when a planned appointment takes place. A new start without an end keeps the duration. The same time keeps the
    version."""
    appointment = await commands.reschedule_appointment(uow, appointment_id, body)
    return await warned(uow, await one(uow, appointment), appointment)


@router.post("/{appointment_id}/snooze", response_model=AppointmentRead, operation_id="snooze_appointment")
async def snooze_appointment(appointment_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of a planned appointment again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_appointment(uow, appointment_id, body))


@router.post("/{appointment_id}/assign", response_model=AppointmentRead, operation_id="assign_appointment")
async def assign_appointment(appointment_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the appointment to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_appointment(uow, appointment_id, body))
