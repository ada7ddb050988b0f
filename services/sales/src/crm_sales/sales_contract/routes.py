"""The HTTP face of sales contracts."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.customer_link.finding import CUSTOMER_NAME, PARTIES
from crm_sales.sales_contract import commands
from crm_sales.sales_contract.model import SalesContract
from crm_sales.sales_contract.schemas import (
    SalesContractCreate,
    SalesContractRead,
    SalesContractTermination,
    SalesContractUpdate,
)

router = APIRouter(prefix="/sales-contracts", tags=["sales contracts"], route_class=about(SalesContract))

CONTRACTS = Listing(
    SalesContract,
    sortable=(
        "created_at",
        "modified_at",
        "name",
        "start_date",
        "end_date",
        "value.amount",
        "value_base.amount",
    ),
    search="search_text",
    parties=PARTIES,
    virtual=CUSTOMER_NAME,
)


@router.get("", response_model=Page[SalesContractRead], operation_id="list_sales_contracts")
@lists(CONTRACTS)
async def list_contracts(request: Request, uow: Uow) -> Response:
    """Sales contracts you may read: filter, search name and number with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`, such as `customer.id=…`, `status=active` or
    `end_date[lte]=2030-12-31`; `order_ids[contains]=…` finds those that are about an order. Sort by created_at,
    modified_at, name, start_date, end_date, value.amount or value_base.amount.
    """
    return await list_records(uow, CONTRACTS, request)


@router.post("/query", response_model=Page[SalesContractRead], operation_id="query_sales_contracts")
async def query_contracts(query: Query, uow: Uow) -> Response:
    """Sales contracts by a JSON filter with and, or, not."""
    return await query_records(uow, CONTRACTS, query)


@router.post("", response_model=SalesContractRead, status_code=201, operation_id="create_sales_contract")
async def create_contract(body: SalesContractCreate, uow: Uow) -> Response:
    """A new contract as a draft, owned by you.

    422 `end-before-start` for a period of no day, `unknown-reference` or `inactive-reference` for its customer,
    `no-exchange-rate` for a currency without one.
    """
    return await created(uow, await commands.create_contract(uow, body))


@router.get("/{contract_id}", response_model=SalesContractRead, operation_id="get_sales_contract")
async def get_contract(contract_id: UUID, request: Request, uow: Uow) -> Response:
    """One sales contract, with its version as ETag."""
    return await read(uow, SalesContract, contract_id, request)


@router.patch("/{contract_id}", response_model=SalesContractRead, operation_id="update_sales_contract")
async def update_contract(contract_id: UUID, body: SalesContractUpdate, uow: Uow) -> Response:
    """Change fields of a draft (RFC 7396 merge patch); 422 as on create."""
    return await one(uow, await commands.update_contract(uow, contract_id, body))


@router.delete("/{contract_id}", status_code=204, operation_id="delete_sales_contract")
async def delete_contract(contract_id: UUID, uow: Uow) -> Response:
    """Delete a draft; 409 `not-deletable` for a contract that was activated."""
    await commands.delete_contract(uow, contract_id)
    return gone()


@router.get("/{contract_id}/history", response_model=HistoryPage, operation_id="list_sales_contract_history")
@shows_history
async def list_contract_history(contract_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, SalesContract, contract_id, request)


@router.post("/{contract_id}/activate", response_model=SalesContractRead, operation_id="activate_sales_contract")
async def activate_contract(contract_id: UUID, uow: Uow) -> Response:
    """The customer and we agreed: draft → active; from now on it is not edited any more.

    422 `period-required` without `start_date` and `end_date`, `period-over` when its last day is over already. It may
    be activated before its first day.
    """
    return await one(uow, await commands.activate_contract(uow, contract_id))


@router.post("/{contract_id}/end", response_model=SalesContractRead, operation_id="end_sales_contract")
async def end_contract(contract_id: UUID, uow: Uow) -> Response:
    """It came to its end: active → ended, for good. Once its last day is over this happens by itself."""
    return await one(uow, await commands.end_contract(uow, contract_id))


@router.post("/{contract_id}/terminate", response_model=SalesContractRead, operation_id="terminate_sales_contract")
async def terminate_contract(contract_id: UUID, body: SalesContractTermination, uow: Uow) -> Response:
    """It is broken off: active → terminated, for good."""
    return await one(uow, await commands.terminate_contract(uow, contract_id, body))


@router.post("/{contract_id}/assign", response_model=SalesContractRead, operation_id="assign_sales_contract")
async def assign_contract(contract_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the contract to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_contract(uow, contract_id, body))
