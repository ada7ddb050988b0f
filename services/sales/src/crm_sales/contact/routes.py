"""The HTTP face of contacts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import NOT_KEYED, Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import DEFAULT_PAGE, Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment, Deactivation
from crm_sales.age import AGE
from crm_sales.contact import commands
from crm_sales.contact.merge import merge_contact
from crm_sales.contact.model import Contact
from crm_sales.contact.schemas import ContactCreate, ContactMerge, ContactRead, ContactUpdate
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.parameters import CompareNames, DuplicatesChoice, PageAfter, PageLimit
from crm_sales.duplicates.scanning import scan_duplicates
from crm_sales.duplicates.schemas import (
    Duplicates,
    DuplicatesPage,
    Person,
)
from crm_sales.duplicates.telling import tell_duplicates_of

router = APIRouter(prefix="/contacts", tags=["contacts"], route_class=about(Contact))

CONTACTS = Listing(
    Contact,
    sortable=("created_at", "modified_at", "last_name", "first_name", "full_name", "tier"),
    search="search_text",
    virtual={"age": AGE},
)


@router.get("", response_model=Page[ContactRead], operation_id="list_contacts")
@lists(CONTACTS)
async def list_contacts(request: Request, uow: Uow) -> Response:
    """Contacts you may read: filter, search with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `age` filters by date of birth. Sort by created_at, modified_at,
    last_name, first_name, full_name or tier.
    """
    return await list_records(uow, CONTACTS, request)


@router.post("/query", response_model=Page[ContactRead], operation_id="query_contacts")
async def query_contacts(query: Query, uow: Uow) -> Response:
    """Contacts by a JSON filter with and, or, not."""
    return await query_records(uow, CONTACTS, query)


@router.post("", response_model=ContactRead, status_code=201, operation_id="create_contact")
async def create_contact(body: ContactCreate, uow: Uow, duplicates: DuplicatesChoice = "allow") -> Response:
    """A new contact, owned by you.

    With `duplicates=report`, 409 `possible-duplicates` lists records that are likely the same, and nothing is created.
    """
    return await created(uow, await commands.create_contact(uow, body, duplicates))


@router.get("/duplicates", response_model=DuplicatesPage, operation_id="list_contact_duplicates")
async def list_contact_duplicates(
    uow: Uow, names: CompareNames = True, limit: PageLimit = DEFAULT_PAGE, after: PageAfter = None
) -> Response:
    """Look through existing contacts for likely duplicates, oldest first, for one second per page.

    Repeat with `after` = `next` until `next` is null: a page may be short or empty before that. A duplicate that you may not
    read is only `hidden: true`.
    """
    return await scan_duplicates(uow, Contact, CONTACTS, limit, after, names=names)


@router.post("/duplicates", response_model=Duplicates, operation_id="check_contact_duplicates", openapi_extra=NOT_KEYED)
async def check_contact_duplicates(body: Person, uow: Uow) -> Response:
    """Who a contact that is being typed may be already, without making it; needs the right to create one.

    It is compared with contacts, and with people among the leads that are not qualified.
    A duplicate that you may not read is only `hidden: true`.
    """
    return await tell_duplicates_of(uow, Contact(**normal_details(uow, dict(body))))


add_import_routes(router, commands.IMPORTER)


@router.get("/{contact_id}", response_model=ContactRead, operation_id="get_contact")
async def get_contact(contact_id: UUID, request: Request, uow: Uow) -> Response:
    """One contact, with its version as ETag."""
    return await read(uow, Contact, contact_id, request)


@router.patch("/{contact_id}", response_model=ContactRead, operation_id="update_contact")
async def update_contact(
    contact_id: UUID, body: ContactUpdate, uow: Uow, duplicates: DuplicatesChoice = "allow"
) -> Response:
    """Change fields of an active contact (RFC 7396 merge patch); `full_name` follows the names.

    With `duplicates=report`, 409 `possible-duplicates` if a changed name, e-mail address or phone is likely that of another
    record.
    """
    return await one(uow, await commands.update_contact(uow, contact_id, body, duplicates))


@router.delete("/{contact_id}", status_code=204, operation_id="delete_contact")
async def delete_contact(contact_id: UUID, uow: Uow) -> Response:
    """Delete a contact; 409 `in-use` lists the accounts, leads and opportunities that refer to it."""
    await commands.delete_contact(uow, contact_id)
    return gone()


@router.get("/{contact_id}/history", response_model=HistoryPage, operation_id="list_contact_history")
@shows_history
async def list_contact_history(contact_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Contact, contact_id, request)


@router.post("/{contact_id}/activate", response_model=ContactRead, operation_id="activate_contact")
async def activate_contact(contact_id: UUID, uow: Uow) -> Response:
    """Make an inactive contact usable again."""
    return await one(uow, await commands.activate_contact(uow, contact_id))


@router.post("/{contact_id}/deactivate", response_model=ContactRead, operation_id="deactivate_contact")
async def deactivate_contact(
    contact_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Make the contact read-only and closed to new references. Existing references stay."""
    return await one(uow, await commands.deactivate_contact(uow, contact_id, body or Deactivation()))


@router.post("/{contact_id}/assign", response_model=ContactRead, operation_id="assign_contact")
async def assign_contact(contact_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the contact to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_contact(uow, contact_id, body))


@router.post("/{contact_id}/merge", response_model=ContactRead, operation_id="merge_contact")
async def merge(contact_id: UUID, body: ContactMerge, uow: Uow) -> Response:
    """Merge this contact into another, and return that survivor. Needs write on both, and delete on this one.

    Both are active. What referred to this contact moves to the survivor, each record as a
    change of its own: up to a hundred at once, more of them in the background. From then on this contact answers
    410 `merged`, naming the survivor. 422 `merged-reference`, `inactive-reference` or `merge-with-itself` for a contact that
    cannot survive.
    """
    return await one(uow, await merge_contact(uow, contact_id, body))
