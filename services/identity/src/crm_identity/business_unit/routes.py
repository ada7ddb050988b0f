"""The HTTP face of business units."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.identity import BusinessUnitRecord
from crm_identity.business_unit import commands
from crm_identity.business_unit.model import BusinessUnit
from crm_identity.business_unit.schemas import (
    BusinessUnitCreate,
    BusinessUnitUpdate,
)
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/business-units", tags=["business units"], route_class=about(BusinessUnit))

UNITS = Listing(BusinessUnit, sortable=("created_at", "name"), default_sort="name")


@router.get("", response_model=Page[BusinessUnitRecord], operation_id="list_business_units")
@lists(UNITS)
async def list_units(request: Request, uow: Uow) -> Response:
    """Business units: filter (`parent_id=` lists children), sort by name or created_at, page."""
    return await list_records(uow, UNITS, request)


@router.post("/query", response_model=Page[BusinessUnitRecord], operation_id="query_business_units")
async def query_units(query: Query, uow: Uow) -> Response:
    """Business units by a JSON filter with and, or, not."""
    return await query_records(uow, UNITS, query)


@router.post("", response_model=BusinessUnitRecord, status_code=201, operation_id="create_business_unit")
async def create_unit(body: BusinessUnitCreate, uow: Uow) -> Response:
    """A new unit below another."""
    return await created(uow, await commands.create_unit(uow, body))


@router.get("/{unit_id}", response_model=BusinessUnitRecord, operation_id="get_business_unit")
async def get_unit(unit_id: UUID, request: Request, uow: Uow) -> Response:
    """One unit, with its version as ETag."""
    return await read(uow, BusinessUnit, unit_id, request)


@router.patch("/{unit_id}", response_model=BusinessUnitRecord, operation_id="update_business_unit")
async def update_unit(unit_id: UUID, body: BusinessUnitUpdate, uow: Uow) -> Response:
    """Rename or move a unit (RFC 7396 merge patch). 422 `cycle` below itself, `root-unit` for the root.

    A move changes no records: depth *unit and below* follows the tree in every service within 2 s.
    """
    return await one(uow, await commands.update_unit(uow, unit_id, body))


@router.delete("/{unit_id}", status_code=204, operation_id="delete_business_unit")
async def delete_unit(unit_id: UUID, uow: Uow) -> Response:
    """Delete an empty unit; 409 `in-use` while a unit, user or team belongs to it, `not-deletable` for the root."""
    await commands.delete_unit(uow, unit_id)
    return gone()


@router.get("/{unit_id}/history", response_model=HistoryPage, operation_id="list_business_unit_history")
@shows_history
async def list_unit_history(unit_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, BusinessUnit, unit_id, request)
