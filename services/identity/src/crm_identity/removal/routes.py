"""The HTTP face of removals."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_identity.removal.commands import cancel_removal
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.removal.schemas import PrincipalRemovalRead
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/principal-removals", tags=["removals"], route_class=about(PrincipalRemoval))

REMOVALS = Listing(PrincipalRemoval, sortable=("created_at",), default_sort="-created_at")


@router.get("", response_model=Page[PrincipalRemovalRead], operation_id="list_principal_removals")
@lists(REMOVALS)
async def list_principal_removals(request: Request, uow: Uow) -> Response:
    """Removals of users, teams and API clients, newest first: filter, page."""
    return await list_records(uow, REMOVALS, request)


@router.post("/query", response_model=Page[PrincipalRemovalRead], operation_id="query_principal_removals")
async def query_principal_removals(query: Query, uow: Uow) -> Response:
    """Removals by a JSON filter with and, or, not."""
    return await query_records(uow, REMOVALS, query)


@router.get("/{removal_id}", response_model=PrincipalRemovalRead, operation_id="get_principal_removal")
async def get_principal_removal(removal_id: UUID, request: Request, uow: Uow) -> Response:
    """One removal with its progress: how many records each service counted and has moved."""
    return await read(uow, PrincipalRemoval, removal_id, request)


@router.post("/{removal_id}/cancel", response_model=PrincipalRemovalRead, operation_id="cancel_principal_removal")
async def cancel_principal_removal(removal_id: UUID, uow: Uow) -> Response:
    """End a removal that has not deleted anybody yet: it is `refused` with the reason `canceled`.

    Records that have their new owner keep it; `moved` says how many. The others stay. A user was disabled, and an API client
    deactivated, when its records began to move: enable it again. You need the privileges of the deletion. 409
    `illegal-transition` for a removal that has ended.
    """
    return await one(uow, await cancel_removal(uow, removal_id))


@router.get("/{removal_id}/history", response_model=HistoryPage, operation_id="list_principal_removal_history")
@shows_history
async def list_principal_removal_history(removal_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, PrincipalRemoval, removal_id, request)
