"""The HTTP face of faxes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.document.schemas import DocumentRequest
from crm_activities.fax import commands
from crm_activities.fax.model import Fax
from crm_activities.fax.schemas import FaxComplete, FaxCreate, FaxRead, FaxUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/faxes", tags=["faxes"], route_class=about(Fax))

FAXES = Listing(
    Fax,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[FaxRead], operation_id="list_faxes")
@lists(FAXES)
async def list_faxes(request: Request, uow: Uow) -> Response:
    """Faxes you may read: filter, search subject and parties with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `regarding.id=<id>` finds what is about a record. Sort by
    created_at, modified_at, due_at, subject or priority (low, normal, high).
    """
    return await list_records(uow, FAXES, request)


@router.post("/query", response_model=Page[FaxRead], operation_id="query_faxes")
async def query_faxes(query: Query, uow: Uow) -> Response:
    """Faxes by a JSON filter with and, or, not."""
    return await query_records(uow, FAXES, query)


@router.post("", response_model=FaxRead, status_code=201, operation_id="create_fax")
async def create_fax(body: FaxCreate, uow: Uow) -> Response:
    """A new fax, owned by you: one to be written, or one that was sent or received.

    `regarding` and parties may be any record of any service that you may read: 422 `unknown-reference` for another, or for
    one this service has not heard of yet (send `Crm-After` with what you just wrote), `inactive-reference` for an inactive
    one; `party-or-address` for a party that is neither. The number is kept in E.164: 422 `invalid-phone`.
    """
    return await created(uow, await commands.create_fax(uow, body))


add_import_routes(router, commands.IMPORTER)


@router.get("/{fax_id}", response_model=FaxRead, operation_id="get_fax")
async def get_fax(fax_id: UUID, request: Request, uow: Uow) -> Response:
    """One fax, with its version as ETag."""
    return await read(uow, Fax, fax_id, request)


@router.patch("/{fax_id}", response_model=FaxRead, operation_id="update_fax")
async def update_fax(fax_id: UUID, body: FaxUpdate, uow: Uow) -> Response:
    """Change fields of an open fax (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    `parties` replaces all of them; who stays is not checked again. Another `remind_at` reminds anew. Completed and
    canceled faxes are read-only until reopened: 409. Rules as for a new one.
    """
    return await one(uow, await commands.update_fax(uow, fax_id, body))


@router.delete("/{fax_id}", status_code=204, operation_id="delete_fax")
async def delete_fax(fax_id: UUID, uow: Uow) -> Response:
    """Delete a fax, whatever its state. Its files are deleted soon afterwards."""
    await commands.delete_fax(uow, fax_id)
    return gone()


@router.get("/{fax_id}/history", response_model=HistoryPage, operation_id="list_fax_history")
@shows_history
async def list_fax_history(fax_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Fax, fax_id, request)


@router.post("/{fax_id}/draft", response_model=FaxRead, operation_id="draft_fax")
async def draft_fax(fax_id: UUID, uow: Uow) -> Response:
    """Begin to write the fax: open → draft."""
    return await one(uow, await commands.draft_fax(uow, fax_id))


@router.post("/{fax_id}/document", response_model=FaxRead, operation_id="document_fax")
async def document_fax(fax_id: UUID, uow: Uow, body: Annotated[DocumentRequest | None, Body()] = None) -> Response:
    """Make the document of an open fax as PDF, and attach it: `GET /attachments/{document_id}/content` is the file.

    It has the organisation, the recipient, the date, the subject and the text, which is `description` unless you send one:
    422 `text-required` without any. `{recipient}`, `{subject}`, `{date}`, `{sender}` and `{organization}` are filled in. It
    replaces the document that was made before. 409 unless the fax is open.
    """
    return await one(uow, await commands.document_fax(uow, fax_id, body or DocumentRequest()))


@router.post("/{fax_id}/complete", response_model=FaxRead, operation_id="complete_fax")
async def complete_fax(fax_id: UUID, uow: Uow, body: Annotated[FaxComplete | None, Body()] = None) -> Response:
    """Complete the fax, sent or received: `completed_at` is now. Read-only until reopened.

    The status reason is `sent` for an outgoing fax and `received` for an incoming one, unless you send another.
    """
    return await one(uow, await commands.complete_fax(uow, fax_id, body or FaxComplete()))


@router.post("/{fax_id}/cancel", response_model=FaxRead, operation_id="cancel_fax")
async def cancel_fax(fax_id: UUID, uow: Uow) -> Response:
    """Cancel the fax. Read-only until reopened."""
    return await one(uow, await commands.cancel_fax(uow, fax_id))


@router.post("/{fax_id}/reopen", response_model=FaxRead, operation_id="reopen_fax")
async def reopen_fax(fax_id: UUID, uow: Uow) -> Response:
    """Reopen the fax, without `completed_at`."""
    return await one(uow, await commands.reopen_fax(uow, fax_id))


@router.post("/{fax_id}/reschedule", response_model=FaxRead, operation_id="reschedule_fax")
async def reschedule_fax(fax_id: UUID, body: Reschedule, uow: Uow) -> Response:
    """Change the due time of an open fax. The same time keeps the version."""
    return await one(uow, await commands.reschedule_fax(uow, fax_id, body))


@router.post("/{fax_id}/snooze", response_model=FaxRead, operation_id="snooze_fax")
async def snooze_fax(fax_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of an open fax again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_fax(uow, fax_id, body))


@router.post("/{fax_id}/assign", response_model=FaxRead, operation_id="assign_fax")
async def assign_fax(fax_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the fax to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_fax(uow, fax_id, body))
