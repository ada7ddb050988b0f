"""The HTTP face of the organisation's settings."""

from fastapi import APIRouter, Request, Response

from crm_contracts.identity import OrganizationRecord
from crm_identity.organization import commands
from crm_identity.organization.model import ORGANIZATION_ID, OrganizationSettings
from crm_identity.organization.schemas import OrganizationUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.parameters import shows_history

router = APIRouter(prefix="/settings/organization", tags=["settings"], route_class=about(OrganizationSettings))


@router.get("", response_model=OrganizationRecord, operation_id="get_organization")
async def get_organization(request: Request, uow: Uow) -> Response:
    """The organisation's settings, with their version as ETag."""
    return await read(uow, OrganizationSettings, ORGANIZATION_ID, request)


@router.patch("", response_model=OrganizationRecord, operation_id="update_organization")
async def update_organization(body: OrganizationUpdate, uow: Uow) -> Response:
    """Change settings (RFC 7396 merge patch). 422 `base-currency-fixed` for another base currency."""
    return await one(uow, await commands.update_organization(uow, body))


@router.get("/history", response_model=HistoryPage, operation_id="list_organization_history")
@shows_history
async def list_organization_history(request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, OrganizationSettings, ORGANIZATION_ID, request)
