"""The HTTP face of cases."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.filtering import Named
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_service_mgmt.case import commands
from crm_service_mgmt.case.model import Case
from crm_service_mgmt.case.schemas import CaseCreate, CaseRead, CaseResolve, CaseUpdate
from crm_service_mgmt.projections.customer_ref import CUSTOMERS

router = APIRouter(prefix="/cases", tags=["cases"], route_class=about(Case))

CASES = Listing(
    Case,
    sortable=("created_at", "modified_at", "title", "priority", "resolved_at"),
    search="search_text",
    parties=CUSTOMERS,
    virtual={"customer.name": Named(CUSTOMERS)},
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[CaseRead], operation_id="list_cases")
@lists(CASES)
async def list_cases(request: Request, uow: Uow) -> Response:
    """Cases you may read: filter, search title, number and customer with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `customer.id=<id>` finds the cases of a customer and
    `escalated_at[is_null]=false` the escalated ones. Sort by created_at, modified_at, title, priority (low, normal,
    high) or resolved_at.
    """
    return await list_records(uow, CASES, request)


@router.post("/query", response_model=Page[CaseRead], operation_id="query_cases")
async def query_cases(query: Query, uow: Uow) -> Response:
    """Cases by a JSON filter with and, or, not."""
    return await query_records(uow, CASES, query)


@router.post("", response_model=CaseRead, status_code=201, operation_id="create_case")
async def create_case(body: CaseCreate, uow: Uow) -> Response:
    """A new case, owned by you.

    `customer` is an account or contact, `contact_id` a contact that you may read: 422 `unknown-reference` for another,
    or for one this service has not heard of yet (send `Crm-After` with what you just wrote), `inactive-reference` for
    an inactive one.
    """
    return await created(uow, await commands.create_case(uow, body))


@router.get("/{case_id}", response_model=CaseRead, operation_id="get_case")
async def get_case(case_id: UUID, request: Request, uow: Uow) -> Response:
    """One case, with its version as ETag. A customer that is gone shows its last name and `"deleted": true`."""
    return await read(uow, Case, case_id, request)


@router.patch("/{case_id}", response_model=CaseRead, operation_id="update_case")
async def update_case(case_id: UUID, body: CaseUpdate, uow: Uow) -> Response:
    """Change fields of an active case (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    Resolved and canceled cases are read-only until reactivated: 409. References are checked as on create, but only
    where they change.
    """
    return await one(uow, await commands.update_case(uow, case_id, body))


@router.delete("/{case_id}", status_code=204, operation_id="delete_case")
async def delete_case(case_id: UUID, uow: Uow) -> Response:
    """Delete an active or canceled case; 409 `not-deletable` for a resolved one."""
    await commands.delete_case(uow, case_id)
    return gone()


@router.get("/{case_id}/history", response_model=HistoryPage, operation_id="list_case_history")
@shows_history
async def list_case_history(case_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Case, case_id, request)


@router.post("/{case_id}/hold", response_model=CaseRead, operation_id="hold_case")
async def hold_case(case_id: UUID, uow: Uow) -> Response:
    """Put an active case aside: → on_hold. The first response, unless there was one."""
    return await one(uow, await commands.hold_case(uow, case_id))


@router.post("/{case_id}/wait", response_model=CaseRead, operation_id="wait_case")
async def wait_case(case_id: UUID, uow: Uow) -> Response:
    """The customer has to tell more: → waiting_for_details. The first response, unless there was one."""
    return await one(uow, await commands.wait_case(uow, case_id))


@router.post("/{case_id}/research", response_model=CaseRead, operation_id="research_case")
async def research_case(case_id: UUID, uow: Uow) -> Response:
    """Somebody has to find out more: → researching. The first response, unless there was one."""
    return await one(uow, await commands.research_case(uow, case_id))


@router.post("/{case_id}/resume", response_model=CaseRead, operation_id="resume_case")
async def resume_case(case_id: UUID, uow: Uow) -> Response:
    """Go on with a case that is on hold, waits or is researched: → in_progress."""
    return await one(uow, await commands.resume_case(uow, case_id))


@router.post("/{case_id}/escalate", response_model=CaseRead, operation_id="escalate_case")
async def escalate_case(case_id: UUID, uow: Uow) -> Response:
    """Others have to know of an active case: sets `escalated_at`. Once only: 409 for a case that was escalated before."""
    return await one(uow, await commands.escalate_case(uow, case_id))


@router.post("/{case_id}/resolve", response_model=CaseRead, operation_id="resolve_case")
async def resolve_case(case_id: UUID, uow: Uow, body: Annotated[CaseResolve | None, Body()] = None) -> Response:
    """Close an active case as resolved (Dataverse: CloseIncident) and keep a resolution record.

    The status reason is `kind`. 422 `more-than-spent` when `billable_minutes` exceeds `minutes`.
    """
    return await one(uow, await commands.resolve_case(uow, case_id, body or CaseResolve()))


@router.post("/{case_id}/cancel", response_model=CaseRead, operation_id="cancel_case")
async def cancel_case(case_id: UUID, uow: Uow) -> Response:
    """Nobody will work on an active case any more. Read-only until reactivated."""
    return await one(uow, await commands.cancel_case(uow, case_id))


@router.post("/{case_id}/reactivate", response_model=CaseRead, operation_id="reactivate_case")
async def reactivate_case(case_id: UUID, uow: Uow) -> Response:
    """Work on a resolved or canceled case again: → in_progress. Its last resolution is marked as reversed."""
    return await one(uow, await commands.reactivate_case(uow, case_id))


@router.post("/{case_id}/assign", response_model=CaseRead, operation_id="assign_case")
async def assign_case(case_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the case to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_case(uow, case_id, body))
