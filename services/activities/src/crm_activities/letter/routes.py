"""The HTTP face of letters."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.document.schemas import DocumentRequest
from crm_activities.letter import commands
from crm_activities.letter.model import Letter
from crm_activities.letter.schemas import LetterComplete, LetterCreate, LetterRead, LetterUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.importing.routes import add_import_routes
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/letters", tags=["letters"], route_class=about(Letter))

LETTERS = Listing(
    Letter,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[LetterRead], operation_id="list_letters")
@lists(LETTERS)
async def list_letters(request: Request, uow: Uow) -> Response:
    """Letters you may read: filter, search subject and parties with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `regarding.id=<id>` finds what is about a record. Sort by
    created_at, modified_at, due_at, subject or priority (low, normal, high).
    """
    return await list_records(uow, LETTERS, request)


@router.post("/query", response_model=Page[LetterRead], operation_id="query_letters")
async def query_letters(query: Query, uow: Uow) -> Response:
    """Letters by a JSON filter with and, or, not."""
    return await query_records(uow, LETTERS, query)


@router.post("", response_model=LetterRead, status_code=201, operation_id="create_letter")
async def create_letter(body: LetterCreate, uow: Uow) -> Response:
    """A new letter, owned by you: one to be written, or one that was sent or received.

    `regarding` and parties may be any record of any service that you may read: 422 `unknown-reference` for another, or for
    one this service has not heard of yet (send `Crm-After` with what you just wrote), `inactive-reference` for an inactive
    one; `party-or-address` for a party that is neither.
    """
    return await created(uow, await commands.create_letter(uow, body))


add_import_routes(router, commands.IMPORTER)


@router.get("/{letter_id}", response_model=LetterRead, operation_id="get_letter")
async def get_letter(letter_id: UUID, request: Request, uow: Uow) -> Response:
    """One letter, with its version as ETag."""
    return await read(uow, Letter, letter_id, request)


@router.patch("/{letter_id}", response_model=LetterRead, operation_id="update_letter")
async def update_letter(letter_id: UUID, body: LetterUpdate, uow: Uow) -> Response:
    """Change fields of an open letter (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    `parties` replaces all of them; who stays is not checked again. Another `remind_at` reminds anew. Completed and
    canceled letters are read-only until reopened: 409. Rules as for a new one.
    """
    return await one(uow, await commands.update_letter(uow, letter_id, body))


@router.delete("/{letter_id}", status_code=204, operation_id="delete_letter")
async def delete_letter(letter_id: UUID, uow: Uow) -> Response:
    """Delete a letter, whatever its state. Its files are deleted soon afterwards."""
    await commands.delete_letter(uow, letter_id)
    return gone()


@router.get("/{letter_id}/history", response_model=HistoryPage, operation_id="list_letter_history")
@shows_history
async def list_letter_history(letter_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Letter, letter_id, request)


@router.post("/{letter_id}/draft", response_model=LetterRead, operation_id="draft_letter")
async def draft_letter(letter_id: UUID, uow: Uow) -> Response:
    """Begin to write the letter: open → draft."""
    return await one(uow, await commands.draft_letter(uow, letter_id))


@router.post("/{letter_id}/document", response_model=LetterRead, operation_id="document_letter")
async def document_letter(
    letter_id: UUID, uow: Uow, body: Annotated[DocumentRequest | None, Body()] = None
) -> Response:
    """Make the document of an open letter as PDF, and attach it: `GET /attachments/{document_id}/content` is the file.

    It has the organisation, the recipient, the date, the subject and the text, which is `description` unless you send one:
    422 `text-required` without any. `{recipient}`, `{subject}`, `{date}`, `{sender}` and `{organization}` are filled in. It
    replaces the document that was made before. 409 unless the letter is open.
    """
    return await one(uow, await commands.document_letter(uow, letter_id, body or DocumentRequest()))


@router.post("/{letter_id}/complete", response_model=LetterRead, operation_id="complete_letter")
async def complete_letter(letter_id: UUID, uow: Uow, body: Annotated[LetterComplete | None, Body()] = None) -> Response:
    """Complete the letter, sent or received: `completed_at` is now. Read-only until reopened.

    The status reason is `sent` for an outgoing letter and `received` for an incoming one, unless you send another.
    """
    return await one(uow, await commands.complete_letter(uow, letter_id, body or LetterComplete()))


@router.post("/{letter_id}/cancel", response_model=LetterRead, operation_id="cancel_letter")
async def cancel_letter(letter_id: UUID, uow: Uow) -> Response:
    """Cancel the letter. Read-only until reopened."""
    return await one(uow, await commands.cancel_letter(uow, letter_id))


@router.post("/{letter_id}/reopen", response_model=LetterRead, operation_id="reopen_letter")
async def reopen_letter(letter_id: UUID, uow: Uow) -> Response:
    """Reopen the letter, without `completed_at`."""
    return await one(uow, await commands.reopen_letter(uow, letter_id))


@router.post("/{letter_id}/reschedule", response_model=LetterRead, operation_id="reschedule_letter")
async def reschedule_letter(letter_id: UUID, body: Reschedule, uow: Uow) -> Response:
    """Change the due time of an open letter. The same time keeps the version."""
    return await one(uow, await commands.reschedule_letter(uow, letter_id, body))


@router.post("/{letter_id}/snooze", response_model=LetterRead, operation_id="snooze_letter")
async def snooze_letter(letter_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of an open letter again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_letter(uow, letter_id, body))


@router.post("/{letter_id}/assign", response_model=LetterRead, operation_id="assign_letter")
async def assign_letter(letter_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the letter to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_letter(uow, letter_id, body))
