"""The HTTP face of leads."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import NOT_KEYED, Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import DEFAULT_PAGE, Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.age import AGE
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.parameters import CompareNames, DuplicatesChoice, PageAfter, PageLimit
from crm_sales.duplicates.scanning import scan_duplicates
from crm_sales.duplicates.schemas import (
    Duplicates,
    DuplicatesPage,
    PersonOrCompany,
)
from crm_sales.duplicates.telling import tell_duplicates_of
from crm_sales.lead import commands
from crm_sales.lead.commands import IMPORTER
from crm_sales.lead.customer_filter import CUSTOMER
from crm_sales.lead.merge import merge_lead
from crm_sales.lead.model import Lead
from crm_sales.lead.qualify import qualify_lead
from crm_sales.lead.schemas import (
    LeadCreate,
    LeadDisqualification,
    LeadMerge,
    LeadQualification,
    LeadRead,
    LeadUpdate,
)

router = APIRouter(prefix="/leads", tags=["leads"], route_class=about(Lead))

LEADS = Listing(
    Lead,
    sortable=("created_at", "modified_at", "last_name", "company_name", "rating", "estimated_close_date"),
    search="search_text",
    ranks={"rating": "rating_rank"},
    virtual={"age": AGE, "customer.id": CUSTOMER},
)


@router.get("", response_model=Page[LeadRead], operation_id="list_leads")
@lists(LEADS)
async def list_leads(request: Request, uow: Uow) -> Response:
    """Leads you may read: filter, search with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `age` filters by date of birth, `customer.id` by the account or
    contact that leads became. Sort by created_at, modified_at, last_name, company_name,
    rating (cold, warm, hot) or estimated_close_date.
    """
    return await list_records(uow, LEADS, request)


@router.post("/query", response_model=Page[LeadRead], operation_id="query_leads")
async def query_leads(query: Query, uow: Uow) -> Response:
    """Leads by a JSON filter with and, or, not."""
    return await query_records(uow, LEADS, query)


@router.post("", response_model=LeadRead, status_code=201, operation_id="create_lead")
async def create_lead(body: LeadCreate, uow: Uow, duplicates: DuplicatesChoice = "allow") -> Response:
    """A new lead, owned by you. 422 `no-exchange-rate` when an amount's currency has no rate in force.

    With `duplicates=report`, 409 `possible-duplicates` lists records that are likely the same, and nothing is created.
    """
    return await created(uow, await commands.create_lead(uow, body, duplicates))


@router.get("/duplicates", response_model=DuplicatesPage, operation_id="list_lead_duplicates")
async def list_lead_duplicates(
    uow: Uow, names: CompareNames = True, limit: PageLimit = DEFAULT_PAGE, after: PageAfter = None
) -> Response:
    """Look through existing leads that are not qualified for likely duplicates, oldest first, for one second per page.

    Repeat with `after` = `next` until `next` is null: a page may be short or empty before that. A duplicate that you may not
    read is only `hidden: true`.
    """
    return await scan_duplicates(uow, Lead, LEADS, limit, after, names=names)


@router.post("/duplicates", response_model=Duplicates, operation_id="check_lead_duplicates", openapi_extra=NOT_KEYED)
async def check_lead_duplicates(body: PersonOrCompany, uow: Uow) -> Response:
    """Who a lead that is being typed may be already, without making it; needs the right to create one.

    It is compared with leads that are not qualified, and with contacts where it has a last name, else with accounts.
    A duplicate that you may not read is only `hidden: true`.
    """
    return await tell_duplicates_of(uow, Lead(**normal_details(uow, dict(body))))


add_import_routes(router, IMPORTER)


@router.get("/{lead_id}", response_model=LeadRead, operation_id="get_lead")
async def get_lead(lead_id: UUID, request: Request, uow: Uow) -> Response:
    """One lead, with its version as ETag."""
    return await read(uow, Lead, lead_id, request)


@router.patch("/{lead_id}", response_model=LeadRead, operation_id="update_lead")
async def update_lead(lead_id: UUID, body: LeadUpdate, uow: Uow, duplicates: DuplicatesChoice = "allow") -> Response:
    """Change fields of an open lead (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    With `duplicates=report`, 409 `possible-duplicates` if a changed name, e-mail address or phone is likely that of another
    record.
    """
    return await one(uow, await commands.update_lead(uow, lead_id, body, duplicates))


@router.delete("/{lead_id}", status_code=204, operation_id="delete_lead")
async def delete_lead(lead_id: UUID, uow: Uow) -> Response:
    """Delete a lead that never became business; 409 `not-deletable` for a qualified one, `in-use` while referred to."""
    await commands.delete_lead(uow, lead_id)
    return gone()


@router.get("/{lead_id}/history", response_model=HistoryPage, operation_id="list_lead_history")
@shows_history
async def list_lead_history(lead_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Lead, lead_id, request)


@router.post("/{lead_id}/contact", response_model=LeadRead, operation_id="contact_lead")
async def contact_lead(lead_id: UUID, uow: Uow) -> Response:
    """Record the first contact with the lead: new → contacted."""
    return await one(uow, await commands.contact_lead(uow, lead_id))


@router.post("/{lead_id}/qualify", response_model=LeadRead, operation_id="qualify_lead")
async def qualify(lead_id: UUID, uow: Uow, body: Annotated[LeadQualification | None, Body()] = None) -> Response:
    """Qualify a lead: create account, contact and opportunity in one step (Dataverse: QualifyLead).

    409 `possible-duplicates` lists similar accounts and contacts; `allow_duplicates: true` goes on. 422 when the
    organisation creates customers on win and an account or contact is asked for.
    """
    return await one(uow, await qualify_lead(uow, lead_id, body or LeadQualification()))


@router.post("/{lead_id}/disqualify", response_model=LeadRead, operation_id="disqualify_lead")
async def disqualify_lead(
    lead_id: UUID, uow: Uow, body: Annotated[LeadDisqualification | None, Body()] = None
) -> Response:
    """Disqualify the lead."""
    return await one(uow, await commands.disqualify_lead(uow, lead_id, body or LeadDisqualification()))


@router.post("/{lead_id}/reopen", response_model=LeadRead, operation_id="reopen_lead")
async def reopen_lead(lead_id: UUID, uow: Uow) -> Response:
    """Work on a closed lead again; a qualified one only while its opportunity is open."""
    return await one(uow, await commands.reopen_lead(uow, lead_id))


@router.post("/{lead_id}/assign", response_model=LeadRead, operation_id="assign_lead")
async def assign_lead(lead_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the lead to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_lead(uow, lead_id, body))


@router.post("/{lead_id}/merge", response_model=LeadRead, operation_id="merge_lead")
async def merge(lead_id: UUID, body: LeadMerge, uow: Uow) -> Response:
    """Merge this lead into another, and return that survivor. Needs write on both, and delete on this one.

    Open leads merge, into an open or a qualified one. What referred to this lead moves to the survivor, each record as a
    change of its own: up to a hundred at once, more of them in the background. From then on this lead answers
    410 `merged`, naming the survivor. 422 `merged-reference`, `inactive-reference` or `merge-with-itself` for a lead that
    cannot survive.
    """
    return await one(uow, await merge_lead(uow, lead_id, body))
