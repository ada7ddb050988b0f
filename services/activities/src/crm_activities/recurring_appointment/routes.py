"""The HTTP face of series of appointments."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_activities.recurring_appointment import commands
from crm_activities.recurring_appointment.model import RecurringAppointment
from crm_activities.recurring_appointment.schemas import (
    RecurringAppointmentCreate,
    RecurringAppointmentRead,
    RecurringAppointmentUpdate,
    SeriesEnd,
    SeriesSplit,
)
from crm_kit.http.requests import Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(
    prefix="/recurring-appointments", tags=["recurring appointments"], route_class=about(RecurringAppointment)
)

SERIES = Listing(
    RecurringAppointment,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority", "scheduled_start_at"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[RecurringAppointmentRead], operation_id="list_recurring_appointments")
@lists(SERIES)
async def list_recurring_appointments(request: Request, uow: Uow) -> Response:
    """Series that you may read: filter, search subject, location and parties with `q`, sort, page.

    Their occurrences are `/appointments?series_id=<id>`.
    """
    return await list_records(uow, SERIES, request)


@router.post("/query", response_model=Page[RecurringAppointmentRead], operation_id="query_recurring_appointments")
async def query_recurring_appointments(query: Query, uow: Uow) -> Response:
    """Series by a JSON filter with and, or, not."""
    return await query_records(uow, SERIES, query)


@router.post("", response_model=RecurringAppointmentRead, status_code=201, operation_id="create_recurring_appointment")
async def create_recurring_appointment(body: RecurringAppointmentCreate, uow: Uow) -> Response:
    """A new series, owned by you. Its first 10 appointments are made at once, and further ones up to 180 days ahead.

    The times are those of the first appointment, in whose zone the rule is meant (RFC 5545 §3.3.10). A local time that does
    not exist, because the clocks go forward, is left out and not counted; of one that exists twice it is the first. COUNT, at
    most 1,000, is stored as UNTIL. 422 `invalid-rule` for a rule that is none, or that does not produce the start. `skips`
    says that the rule leaves out months or years. Rules for times and parties are those of an appointment.
    """
    return await created(uow, await commands.create_series(uow, body))


add_import_routes(router, commands.IMPORTER)


@router.get("/{series_id}", response_model=RecurringAppointmentRead, operation_id="get_recurring_appointment")
async def get_recurring_appointment(series_id: UUID, request: Request, uow: Uow) -> Response:
    """One series, with its version as ETag."""
    return await read(uow, RecurringAppointment, series_id, request)


@router.patch("/{series_id}", response_model=RecurringAppointmentRead, operation_id="update_recurring_appointment")
async def update_recurring_appointment(series_id: UUID, body: RecurringAppointmentUpdate, uow: Uow) -> Response:
    """Change an open series and all its planned appointments that have not begun (RFC 7396 merge patch).

    Those that were changed by themselves stay as they are (`occurrence_changed`). Without `rule`, a rule moves along with the
    first day: weekly rules with all their weekdays; 422 `invalid-rule` where it cannot be moved. 409
    `too-many-occurrences` above 1,000.
    """
    return await one(uow, await commands.update_series(uow, series_id, body))


@router.delete("/{series_id}", status_code=204, operation_id="delete_recurring_appointment")
async def delete_recurring_appointment(series_id: UUID, uow: Uow) -> Response:
    """Delete a series with all its appointments, past ones too. 409 `too-many-occurrences` above 1,000."""
    await commands.delete_series(uow, series_id)
    return gone()


@router.get("/{series_id}/history", response_model=HistoryPage, operation_id="list_recurring_appointment_history")
@shows_history
async def list_recurring_appointment_history(series_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, RecurringAppointment, series_id, request)


@router.post(
    "/{series_id}/split",
    response_model=RecurringAppointmentRead,
    status_code=201,
    operation_id="split_recurring_appointment",
)
async def split_recurring_appointment(series_id: UUID, body: SeriesSplit, uow: Uow) -> Response:
    """Change an occurrence and all that follow. The series ends before it, and the answer is the new series.

    `occurrence_at` says which one; other fields are those of a patch, with the times of that occurrence. Without `rule` the
    rule moves along. 422 `no-such-occurrence`, and `first-occurrence` for the first one: change the whole series then.
    """
    return await created(uow, await commands.split_series(uow, series_id, body))


@router.post(
    "/{series_id}/end-series", response_model=RecurringAppointmentRead, operation_id="end_series_recurring_appointment"
)
async def end_series(series_id: UUID, uow: Uow, body: Annotated[SeriesEnd | None, Body()] = None) -> Response:
    """End the series now, or at another instant: its planned appointments from then on are deleted, earlier ones stay."""
    return await one(uow, await commands.end_series(uow, series_id, body or SeriesEnd()))


@router.post(
    "/{series_id}/assign", response_model=RecurringAppointmentRead, operation_id="assign_recurring_appointment"
)
async def assign_recurring_appointment(series_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the series to another user or team, with the appointments that will be made; those that exist stay. 422 for an
    unknown or inactive one."""
    return await one(uow, await commands.assign_series(uow, series_id, body))
