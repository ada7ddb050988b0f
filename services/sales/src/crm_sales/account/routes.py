"""The HTTP face of accounts."""

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
from crm_sales.account import commands
from crm_sales.account.merge import merge_account
from crm_sales.account.model import Account
from crm_sales.account.schemas import AccountCreate, AccountMerge, AccountRead, AccountUpdate
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.parameters import CompareNames, DuplicatesChoice, PageAfter, PageLimit
from crm_sales.duplicates.scanning import scan_duplicates
from crm_sales.duplicates.schemas import (
    Company,
    Duplicates,
    DuplicatesPage,
)
from crm_sales.duplicates.telling import tell_duplicates_of

router = APIRouter(prefix="/accounts", tags=["accounts"], route_class=about(Account))

ACCOUNTS = Listing(Account, sortable=("created_at", "modified_at", "name", "tier"), search="search_text")


@router.get("", response_model=Page[AccountRead], operation_id="list_accounts")
@lists(ACCOUNTS)
async def list_accounts(request: Request, uow: Uow) -> Response:
    """Accounts you may read: filter, search with `q`, sort by created_at, modified_at, name or tier, page."""
    return await list_records(uow, ACCOUNTS, request)


@router.post("/query", response_model=Page[AccountRead], operation_id="query_accounts")
async def query_accounts(query: Query, uow: Uow) -> Response:
    """Accounts by a JSON filter with and, or, not."""
    return await query_records(uow, ACCOUNTS, query)


@router.post("", response_model=AccountRead, status_code=201, operation_id="create_account")
async def create_account(body: AccountCreate, uow: Uow, duplicates: DuplicatesChoice = "allow") -> Response:
    """A new account, owned by you. 409 `already-exists` when another account has the number.

    With `duplicates=report`, 409 `possible-duplicates` lists records that are likely the same, and nothing is created.
    """
    return await created(uow, await commands.create_account(uow, body, duplicates))


@router.get("/duplicates", response_model=DuplicatesPage, operation_id="list_account_duplicates")
async def list_account_duplicates(
    uow: Uow, names: CompareNames = True, limit: PageLimit = DEFAULT_PAGE, after: PageAfter = None
) -> Response:
    """Look through existing accounts for likely duplicates, oldest first, for one second per page.

    Repeat with `after` = `next` until `next` is null: a page may be short or empty before that. A duplicate that you may not
    read is only `hidden: true`.
    """
    return await scan_duplicates(uow, Account, ACCOUNTS, limit, after, names=names)


@router.post("/duplicates", response_model=Duplicates, operation_id="check_account_duplicates", openapi_extra=NOT_KEYED)
async def check_account_duplicates(body: Company, uow: Uow) -> Response:
    """Who an account that is being typed may be already, without making it; needs the right to create one.

    It is compared with accounts, and with companies among the leads that are not qualified.
    A duplicate that you may not read is only `hidden: true`.
    """
    return await tell_duplicates_of(uow, Account(**normal_details(uow, dict(body))))


add_import_routes(router, commands.IMPORTER)


@router.get("/{account_id}", response_model=AccountRead, operation_id="get_account")
async def get_account(account_id: UUID, request: Request, uow: Uow) -> Response:
    """One account, with its version as ETag."""
    return await read(uow, Account, account_id, request)


@router.patch("/{account_id}", response_model=AccountRead, operation_id="update_account")
async def update_account(
    account_id: UUID, body: AccountUpdate, uow: Uow, duplicates: DuplicatesChoice = "allow"
) -> Response:
    """Change fields of an active account (RFC 7396 merge patch).

    422 `circular-parent` when the new parent lies below the account, `too-deep` past 50 accounts on one line.

    With `duplicates=report`, 409 `possible-duplicates` if a changed name, e-mail address or phone is likely that of another
    record.
    """
    return await one(uow, await commands.update_account(uow, account_id, body, duplicates))


@router.delete("/{account_id}", status_code=204, operation_id="delete_account")
async def delete_account(account_id: UUID, uow: Uow) -> Response:
    """Delete an account; 409 `in-use` lists the accounts, contacts, leads, opportunities and sales contracts that refer to it."""
    await commands.delete_account(uow, account_id)
    return gone()


@router.get("/{account_id}/history", response_model=HistoryPage, operation_id="list_account_history")
@shows_history
async def list_account_history(account_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Account, account_id, request)


@router.post("/{account_id}/activate", response_model=AccountRead, operation_id="activate_account")
async def activate_account(account_id: UUID, uow: Uow) -> Response:
    """Make an inactive account usable again."""
    return await one(uow, await commands.activate_account(uow, account_id))


@router.post("/{account_id}/deactivate", response_model=AccountRead, operation_id="deactivate_account")
async def deactivate_account(
    account_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Make the account read-only and closed to new references. Existing references stay."""
    return await one(uow, await commands.deactivate_account(uow, account_id, body or Deactivation()))


@router.post("/{account_id}/assign", response_model=AccountRead, operation_id="assign_account")
async def assign_account(account_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the account to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_account(uow, account_id, body))


@router.post("/{account_id}/merge", response_model=AccountRead, operation_id="merge_account")
async def merge(account_id: UUID, body: AccountMerge, uow: Uow) -> Response:
    """Merge this account into another, and return that survivor. Needs write on both, and delete on this one.

    Both are active; a survivor below this account moves up into its place. What referred to this account moves to the
    survivor, each record as a change of its own: up to a hundred at once, more of them in the background. From then on
    this account answers 410 `merged`, naming the survivor. 422 `merged-reference`, `inactive-reference` or
    `merge-with-itself` for an account that cannot survive.
    """
    return await one(uow, await merge_account(uow, account_id, body))
