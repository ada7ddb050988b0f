"""The HTTP face of opportunities."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.customer_link.finding import CUSTOMER_NAME, PARTIES
from crm_sales.opportunity import commands
from crm_sales.opportunity.competing import lose_opportunity
from crm_sales.opportunity.merge import merge_opportunity
from crm_sales.opportunity.migrate import IMPORTER
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.schemas import (
    OpportunityCreate,
    OpportunityLoss,
    OpportunityMerge,
    OpportunityRead,
    OpportunityReopening,
    OpportunityUpdate,
    OpportunityWin,
    StageChange,
)
from crm_sales.opportunity.win import win_opportunity
from crm_sales.quote.drafting import quote_deal
from crm_sales.quote.schemas import QuoteRead

router = APIRouter(prefix="/opportunities", tags=["opportunities"], route_class=about(Opportunity))

OPPORTUNITIES = Listing(
    Opportunity,
    sortable=(
        "created_at",
        "modified_at",
        "name",
        "stage",
        "estimated_value.amount",
        "estimated_value_base.amount",
        "estimated_close_date",
        "closed_at",
    ),
    search="search_text",
    parties=PARTIES,
    virtual=CUSTOMER_NAME,
)


@router.get("", response_model=Page[OpportunityRead], operation_id="list_opportunities")
@lists(OPPORTUNITIES)
async def list_opportunities(request: Request, uow: Uow) -> Response:
    """Opportunities you may read: filter, search with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`, such as `customer.id=…`, `estimated_value.amount[gte]=1000`,
    `opened_at[gte]=2026-01-01T00:00:00Z` or `competitor_ids[contains]=…`. Sort by created_at, modified_at, name, stage,
    estimated_value.amount, estimated_value_base.amount, estimated_close_date or closed_at.
    """
    return await list_records(uow, OPPORTUNITIES, request)


@router.post("/query", response_model=Page[OpportunityRead], operation_id="query_opportunities")
async def query_opportunities(query: Query, uow: Uow) -> Response:
    """Opportunities by a JSON filter with and, or, not."""
    return await query_records(uow, OPPORTUNITIES, query)


@router.post("", response_model=OpportunityRead, status_code=201, operation_id="create_opportunity")
async def create_opportunity(body: OpportunityCreate, uow: Uow) -> Response:
    """A new deal, owned by you. 422 `inactive-reference` for an inactive customer, `no-exchange-rate` as for leads."""
    return await created(uow, await commands.create_opportunity(uow, body))


add_import_routes(router, IMPORTER)


@router.get("/{opportunity_id}", response_model=OpportunityRead, operation_id="get_opportunity")
async def get_opportunity(opportunity_id: UUID, request: Request, uow: Uow) -> Response:
    """One opportunity, with its version as ETag."""
    return await read(uow, Opportunity, opportunity_id, request)


@router.patch("/{opportunity_id}", response_model=OpportunityRead, operation_id="update_opportunity")
async def update_opportunity(opportunity_id: UUID, body: OpportunityUpdate, uow: Uow) -> Response:
    """Change fields of an open deal (RFC 7396 merge patch); the stage changes by `advance`.

    A probability other than the present one is kept through later stages; null follows the stage again.
    """
    return await one(uow, await commands.update_opportunity(uow, opportunity_id, body))


@router.delete("/{opportunity_id}", status_code=204, operation_id="delete_opportunity")
async def delete_opportunity(opportunity_id: UUID, uow: Uow) -> Response:
    """Delete an open deal; 409 `not-deletable` for a won or lost one, `in-use` while a lead is linked to it."""
    await commands.delete_opportunity(uow, opportunity_id)
    return gone()


@router.get("/{opportunity_id}/history", response_model=HistoryPage, operation_id="list_opportunity_history")
@shows_history
async def list_opportunity_history(opportunity_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Opportunity, opportunity_id, request)


@router.post("/{opportunity_id}/advance", response_model=OpportunityRead, operation_id="advance_opportunity")
async def advance_opportunity(opportunity_id: UUID, body: StageChange, uow: Uow) -> Response:
    """Move a deal in progress to another stage, forwards or backwards. 422 `unknown-reference` for a strange stage."""
    return await one(uow, await commands.advance_opportunity(uow, opportunity_id, body))


@router.post("/{opportunity_id}/quote", response_model=QuoteRead, status_code=201, operation_id="quote_opportunity")
async def quote_opportunity(opportunity_id: UUID, uow: Uow) -> Response:
    """A draft of a quote of an open deal's lines, as they are priced in the deal, for its customer
    (Dataverse: GenerateQuoteFromOpportunity). The answer is the quote.

    Asks for read on the deal and create on quotes. A deal without lines makes a quote without lines, to be filled.
    """
    return await created(uow, await quote_deal(uow, opportunity_id))


@router.post("/{opportunity_id}/hold", response_model=OpportunityRead, operation_id="hold_opportunity")
async def hold_opportunity(opportunity_id: UUID, uow: Uow) -> Response:
    """Put the deal aside: in_progress → on_hold."""
    return await one(uow, await commands.hold_opportunity(uow, opportunity_id))


@router.post("/{opportunity_id}/resume", response_model=OpportunityRead, operation_id="resume_opportunity")
async def resume_opportunity(opportunity_id: UUID, uow: Uow) -> Response:
    """Take the deal up again: on_hold → in_progress."""
    return await one(uow, await commands.resume_opportunity(uow, opportunity_id))


@router.post("/{opportunity_id}/win", response_model=OpportunityRead, operation_id="win_opportunity")
async def win(opportunity_id: UUID, uow: Uow, body: Annotated[OpportunityWin | None, Body()] = None) -> Response:
    """Close a deal as won (Dataverse: WinOpportunity); its customer becomes at least *standard*.

    422 `actual-value-required` without any value, `customer-required` without a customer or a lead to make one from,
    `currency-mismatch` for another currency than the deal's. 409 `possible-duplicates` lists accounts and contacts
    similar to those that would be made of the lead; `allow_duplicates: true` goes on. 409 `unfinished-business` lists quotes
    of the deal that are still active; `force: true` goes on.
    """
    return await one(uow, await win_opportunity(uow, opportunity_id, body or OpportunityWin()))


@router.post("/{opportunity_id}/lose", response_model=OpportunityRead, operation_id="lose_opportunity")
async def lose(opportunity_id: UUID, uow: Uow, body: Annotated[OpportunityLoss | None, Body()] = None) -> Response:
    """Close a deal as lost (Dataverse: LoseOpportunity), to a competitor if one is named. Its open quotes close with it: drafts
    are canceled, active ones lost. `closed_quotes` of the close record names them.

    422 `unknown-reference` or `inactive-reference` for the competitor, `not-out-sold` for one who wins a canceled deal.
    """
    return await one(uow, await lose_opportunity(uow, opportunity_id, body or OpportunityLoss()))


@router.post("/{opportunity_id}/reopen", response_model=OpportunityRead, operation_id="reopen_opportunity")
async def reopen_opportunity(
    opportunity_id: UUID, uow: Uow, body: Annotated[OpportunityReopening | None, Body()] = None
) -> Response:
    """Work on a won or lost deal again; its close records stay. `closed_quotes` of the last one names the quotes that losing
    the deal closed: they stay closed, unless `reopen_quotes` is true, and `reopened` says which were taken up again."""
    return await one(uow, await commands.reopen_opportunity(uow, opportunity_id, body or OpportunityReopening()))


@router.post("/{opportunity_id}/assign", response_model=OpportunityRead, operation_id="assign_opportunity")
async def assign_opportunity(opportunity_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the deal to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_opportunity(uow, opportunity_id, body))


@router.post("/{opportunity_id}/merge", response_model=OpportunityRead, operation_id="merge_opportunity")
async def merge(opportunity_id: UUID, body: OpportunityMerge, uow: Uow) -> Response:
    """Merge this deal into another, and return that survivor. Needs write on both, and delete on this one.

    Both are open, and their amounts in one currency: 422 `currency-mismatch`. Quotes, orders, invoices, leads and activities of
    this deal move to the survivor, each record as a change of its own: up to a hundred at once, more of them in the background.
    From then on this deal answers 410 `merged`, naming the survivor. 422 `merged-reference`, `inactive-reference` or
    `merge-with-itself` for a deal that cannot survive, `value-from-lines` for `estimated_value` if it has its value from its
    lines.
    """
    return await one(uow, await merge_opportunity(uow, opportunity_id, body))
