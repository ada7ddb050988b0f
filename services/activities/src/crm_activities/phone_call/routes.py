"""The HTTP face of phone calls."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.phone_call import commands
from crm_activities.phone_call.model import PhoneCall
from crm_activities.phone_call.schemas import (
    PhoneCallComplete,
    PhoneCallCreate,
    PhoneCallRead,
    PhoneCallUpdate,
)
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/phone-calls", tags=["phone calls"], route_class=about(PhoneCall))

CALLS = Listing(
    PhoneCall,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority", "scheduled_start_at", "started_at"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[PhoneCallRead], operation_id="list_phone_calls")
@lists(CALLS)
async def list_phone_calls(request: Request, uow: Uow) -> Response:
    """Phone calls you may read: filter, search subject, number and outcome with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `regarding.id=<id>` finds what is about a record. Sort by
    created_at, modified_at, due_at, subject, priority (low, normal, high), scheduled_start_at or started_at.
    """
    return await list_records(uow, CALLS, request)


@router.post("/query", response_model=Page[PhoneCallRead], operation_id="query_phone_calls")
async def query_phone_calls(query: Query, uow: Uow) -> Response:
    """Phone calls by a JSON filter with and, or, not."""
    return await query_records(uow, CALLS, query)


@router.post("", response_model=PhoneCallRead, status_code=201, operation_id="create_phone_call")
async def create_phone_call(body: PhoneCallCreate, uow: Uow) -> Response:
    """A new phone call, owned by you: one to be made, or one that was held.

    `regarding` may be any record of any service that you may read, a party an account, contact, lead or user: 422
    `unknown-reference` for another, or for one this service has not heard of yet (send `Crm-After` with what you just
    wrote), `inactive-reference` for an inactive one; `party-or-address` for a party that is neither. Numbers are kept in
    E.164: 422 `invalid-phone`. Times must be in order: `end-before-start`, `too-long` beyond a year; `duration_minutes`
    is measured where `started_at` and `ended_at` are known: `contradicts-times` for another.
    """
    return await created(uow, await commands.create_phone_call(uow, body))


@router.get("/{call_id}", response_model=PhoneCallRead, operation_id="get_phone_call")
async def get_phone_call(call_id: UUID, request: Request, uow: Uow) -> Response:
    """One phone call, with its version as ETag."""
    return await read(uow, PhoneCall, call_id, request)


@router.patch("/{call_id}", response_model=PhoneCallRead, operation_id="update_phone_call")
async def update_phone_call(call_id: UUID, body: PhoneCallUpdate, uow: Uow) -> Response:
    """Change fields of an open phone call (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    `parties` replaces all of them; who stays is not checked again. Another `remind_at` reminds anew. Completed and
    canceled phone calls are read-only until reopened: 409. Rules as for a new one.
    """
    return await one(uow, await commands.update_phone_call(uow, call_id, body))


@router.delete("/{call_id}", status_code=204, operation_id="delete_phone_call")
async def delete_phone_call(call_id: UUID, uow: Uow) -> Response:
    """Delete a phone call, whatever its state."""
    await commands.delete_phone_call(uow, call_id)
    return gone()


@router.get("/{call_id}/history", response_model=HistoryPage, operation_id="list_phone_call_history")
@shows_history
async def list_phone_call_history(call_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, PhoneCall, call_id, request)


@router.post("/{call_id}/complete", response_model=PhoneCallRead, operation_id="complete_phone_call")
async def complete_phone_call(
    call_id: UUID, uow: Uow, body: Annotated[PhoneCallComplete | None, Body()] = None
) -> Response:
    """Complete the call, made or received: `completed_at` is now. Read-only until reopened.

    The status reason is `made` for an outgoing call and `received` for an incoming one, unless you send another. Other
    fields that you send are set too; the rules for times are those of a new call.
    """
    return await one(uow, await commands.complete_phone_call(uow, call_id, body or PhoneCallComplete()))


@router.post("/{call_id}/cancel", response_model=PhoneCallRead, operation_id="cancel_phone_call")
async def cancel_phone_call(call_id: UUID, uow: Uow) -> Response:
    """Cancel the call. Read-only until reopened."""
    return await one(uow, await commands.cancel_phone_call(uow, call_id))


@router.post("/{call_id}/reopen", response_model=PhoneCallRead, operation_id="reopen_phone_call")
async def reopen_phone_call(call_id: UUID, uow: Uow) -> Response:
    """Reopen the call, without `completed_at`. The recorded facts of the call stay."""
    return await one(uow, await commands.reopen_phone_call(uow, call_id))


@router.post("/{call_id}/reschedule", response_model=PhoneCallRead, operation_id="reschedule_phone_call")
async def reschedule_phone_call(call_id: UUID, body: Reschedule, uow: Uow) -> Response:
    """Change the due time of an open phone call. The same time keeps the version."""
    return await one(uow, await commands.reschedule_phone_call(uow, call_id, body))


@router.post("/{call_id}/snooze", response_model=PhoneCallRead, operation_id="snooze_phone_call")
async def snooze_phone_call(call_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of an open phone call again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_phone_call(uow, call_id, body))


@router.post("/{call_id}/assign", response_model=PhoneCallRead, operation_id="assign_phone_call")
async def assign_phone_call(call_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the phone call to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_phone_call(uow, call_id, body))
