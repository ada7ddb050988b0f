"""The HTTP face of sales stages: reference data of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.sales.reference import SalesStageRecord
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_sales.sales_stage import commands
from crm_sales.sales_stage.model import SalesStage
from crm_sales.sales_stage.schemas import SalesStageCreate, SalesStageUpdate

router = APIRouter(prefix="/sales-stages", tags=["sales stages"], route_class=about(SalesStage))

STAGES = Listing(SalesStage, sortable=("position", "created_at"), default_sort="position")


@router.get("", response_model=Page[SalesStageRecord], operation_id="list_sales_stages")
@lists(STAGES)
async def list_sales_stages(request: Request, uow: Uow) -> Response:
    """The stages a deal goes through, in their order unless sorted by created_at."""
    return await list_records(uow, STAGES, request)


@router.post("/query", response_model=Page[SalesStageRecord], operation_id="query_sales_stages")
async def query_sales_stages(query: Query, uow: Uow) -> Response:
    """Stages by a JSON filter with and, or, not."""
    return await query_records(uow, STAGES, query)


@router.post("", response_model=SalesStageRecord, status_code=201, operation_id="create_sales_stage")
async def create_sales_stage(body: SalesStageCreate, uow: Uow) -> Response:
    """A new stage. 409 `already-exists` when another stage has the name."""
    return await created(uow, await commands.create_stage(uow, body))


@router.get("/{stage_id}", response_model=SalesStageRecord, operation_id="get_sales_stage")
async def get_sales_stage(stage_id: UUID, request: Request, uow: Uow) -> Response:
    """One stage, with its version as ETag."""
    return await read(uow, SalesStage, stage_id, request)


@router.patch("/{stage_id}", response_model=SalesStageRecord, operation_id="update_sales_stage")
async def update_sales_stage(stage_id: UUID, body: SalesStageUpdate, uow: Uow) -> Response:
    """Change a stage (RFC 7396 merge patch). Deals keep the name and probability they got when they entered it."""
    return await one(uow, await commands.update_stage(uow, stage_id, body))


@router.delete("/{stage_id}", status_code=204, operation_id="delete_sales_stage")
async def delete_sales_stage(stage_id: UUID, uow: Uow) -> Response:
    """Delete a stage; 409 `in-use` lists deals that are in it."""
    await commands.delete_stage(uow, stage_id)
    return gone()


@router.get("/{stage_id}/history", response_model=HistoryPage, operation_id="list_sales_stage_history")
@shows_history
async def list_sales_stage_history(stage_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, SalesStage, stage_id, request)
