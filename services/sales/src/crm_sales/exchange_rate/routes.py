"""The HTTP face of exchange rates: reference data of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.sales.reference import ExchangeRateRecord
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_sales.exchange_rate import commands
from crm_sales.exchange_rate.model import ExchangeRate
from crm_sales.exchange_rate.schemas import ExchangeRateCreate, ExchangeRateUpdate

router = APIRouter(prefix="/exchange-rates", tags=["exchange rates"], route_class=about(ExchangeRate))

RATES = Listing(ExchangeRate, sortable=("valid_from", "created_at"), default_sort="-valid_from")


@router.get("", response_model=Page[ExchangeRateRecord], operation_id="list_exchange_rates")
@lists(RATES)
async def list_exchange_rates(request: Request, uow: Uow) -> Response:
    """Rates, newest day first unless sorted by created_at. The latest rate of a currency whose day has come is in force."""
    return await list_records(uow, RATES, request)


@router.post("/query", response_model=Page[ExchangeRateRecord], operation_id="query_exchange_rates")
async def query_exchange_rates(query: Query, uow: Uow) -> Response:
    """Rates by a JSON filter with and, or, not."""
    return await query_records(uow, RATES, query)


@router.post("", response_model=ExchangeRateRecord, status_code=201, operation_id="create_exchange_rate")
async def create_exchange_rate(body: ExchangeRateCreate, uow: Uow) -> Response:
    """A new rate. 409 `already-exists` when the currency has one from that day; 422 `base-currency`."""
    return await created(uow, await commands.create_rate(uow, body))


@router.get("/{rate_id}", response_model=ExchangeRateRecord, operation_id="get_exchange_rate")
async def get_exchange_rate(rate_id: UUID, request: Request, uow: Uow) -> Response:
    """One rate, with its version as ETag."""
    return await read(uow, ExchangeRate, rate_id, request)


@router.patch("/{rate_id}", response_model=ExchangeRateRecord, operation_id="update_exchange_rate")
async def update_exchange_rate(rate_id: UUID, body: ExchangeRateUpdate, uow: Uow) -> Response:
    """Correct a rate (RFC 7396 merge patch). Amounts that are pinned already keep theirs."""
    return await one(uow, await commands.update_rate(uow, rate_id, body))


@router.delete("/{rate_id}", status_code=204, operation_id="delete_exchange_rate")
async def delete_exchange_rate(rate_id: UUID, uow: Uow) -> Response:
    """Delete a rate. Amounts that are pinned already keep theirs."""
    await commands.delete_rate(uow, rate_id)
    return gone()


@router.get("/{rate_id}/history", response_model=HistoryPage, operation_id="list_exchange_rate_history")
@shows_history
async def list_exchange_rate_history(rate_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, ExchangeRate, rate_id, request)
