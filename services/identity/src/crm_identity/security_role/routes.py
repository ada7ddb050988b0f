"""The HTTP face of security roles."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.identity import SecurityRoleRecord
from crm_identity.security_role import commands
from crm_identity.security_role.model import SecurityRole
from crm_identity.security_role.schemas import (
    SecurityRoleCreate,
    SecurityRoleUpdate,
)
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/security-roles", tags=["security roles"], route_class=about(SecurityRole))

ROLES = Listing(SecurityRole, sortable=("created_at", "name"), default_sort="name")


@router.get("", response_model=Page[SecurityRoleRecord], operation_id="list_security_roles")
@lists(ROLES)
async def list_roles(request: Request, uow: Uow) -> Response:
    """Security roles: filter, sort by name or created_at, page."""
    return await list_records(uow, ROLES, request)


@router.post("/query", response_model=Page[SecurityRoleRecord], operation_id="query_security_roles")
async def query_roles(query: Query, uow: Uow) -> Response:
    """Security roles by a JSON filter with and, or, not."""
    return await query_records(uow, ROLES, query)


@router.post("", response_model=SecurityRoleRecord, status_code=201, operation_id="create_security_role")
async def create_role(body: SecurityRoleCreate, uow: Uow) -> Response:
    """A new role. 403 when it would grant more than you hold; 422 `unknown-entity`, `invalid-depth`."""
    return await created(uow, await commands.create_role(uow, body))


@router.get("/{role_id}", response_model=SecurityRoleRecord, operation_id="get_security_role")
async def get_role(role_id: UUID, request: Request, uow: Uow) -> Response:
    """One role, with its version as ETag."""
    return await read(uow, SecurityRole, role_id, request)


@router.patch("/{role_id}", response_model=SecurityRoleRecord, operation_id="update_security_role")
async def update_role(role_id: UUID, body: SecurityRoleUpdate, uow: Uow) -> Response:
    """Change a role (RFC 7396 merge patch). Its holders' tokens are superseded within 2 s.

    403 if it would give a holder access to records that you do not reach; 409 `last-administrator` for the Administrator role,
    which always holds every privilege.
    """
    return await one(uow, await commands.update_role(uow, role_id, body))


@router.delete("/{role_id}", status_code=204, operation_id="delete_security_role")
async def delete_role(role_id: UUID, uow: Uow) -> Response:
    """Delete a role; 409 `in-use` while somebody holds it; 409 `not-deletable` for the Administrator role."""
    await commands.delete_role(uow, role_id)
    return gone()


@router.get("/{role_id}/history", response_model=HistoryPage, operation_id="list_security_role_history")
@shows_history
async def list_role_history(role_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, SecurityRole, role_id, request)
