"""The HTTP face of the settings: one record, made when the database is set up."""

from fastapi import APIRouter, Request, Response

from crm_contracts.access import Privilege
from crm_contracts.sales.reference import SalesSettingsRecord, SalesSettingsUpdated
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.parameters import shows_history
from crm_kit.records.patching import apply
from crm_sales.settings.model import SETTINGS_ID, SalesSettings
from crm_sales.settings.schemas import SalesSettingsUpdate

router = APIRouter(prefix="/settings/sales", tags=["settings"], route_class=about(SalesSettings))


@router.get("", response_model=SalesSettingsRecord, operation_id="get_sales_settings")
async def get_sales_settings(request: Request, uow: Uow) -> Response:
    """How this organisation sells, with the version as ETag."""
    return await read(uow, SalesSettings, SETTINGS_ID, request)


@router.patch("", response_model=SalesSettingsRecord, operation_id="update_sales_settings")
async def update_sales_settings(body: SalesSettingsUpdate, uow: Uow) -> Response:
    """Change settings (RFC 7396 merge patch); they hold for commands from then on."""
    settings = await uow.get(SalesSettings, SETTINGS_ID, Privilege.WRITE)
    apply(settings, body.onto(settings))
    uow.emit_if_changed(settings, SalesSettingsUpdated)
    return await one(uow, settings)


@router.get("/history", response_model=HistoryPage, operation_id="list_sales_settings_history")
@shows_history
async def list_sales_settings_history(request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, SalesSettings, SETTINGS_ID, request)
