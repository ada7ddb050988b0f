"""The HTTP face of notes."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_activities.note import commands
from crm_activities.note.model import Note
from crm_activities.note.schemas import NoteCreate, NoteRead, NoteUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/notes", tags=["notes"], route_class=about(Note))

NOTES = Listing(Note, sortable=("created_at", "modified_at"), search="search_text")


@router.get("", response_model=Page[NoteRead], operation_id="list_notes")
@lists(NOTES)
async def list_notes(request: Request, uow: Uow) -> Response:
    """Notes you may read: filter, search the text with `q`, sort, page.

    `regarding.id=<id>` finds the notes on a record, `pinned=true` those that should stay in view. Sort by created_at or
    modified_at.
    """
    return await list_records(uow, NOTES, request)


@router.post("/query", response_model=Page[NoteRead], operation_id="query_notes")
async def query_notes(query: Query, uow: Uow) -> Response:
    """Notes by a JSON filter with and, or, not."""
    return await query_records(uow, NOTES, query)


@router.post("", response_model=NoteRead, status_code=201, operation_id="create_note")
async def create_note(body: NoteCreate, uow: Uow) -> Response:
    """A new note on a record of any service that you may read, in any state; owned by you.

    422 `unknown-reference` for another record, or for one this service has not heard of yet (send `Crm-After` with what you
    just wrote). Files are attached to a note by `POST /attachments?regarding_type=note&regarding_id=<id>`.
    """
    return await created(uow, await commands.create_note(uow, body))


@router.get("/{note_id}", response_model=NoteRead, operation_id="get_note")
async def get_note(note_id: UUID, request: Request, uow: Uow) -> Response:
    """One note, with its version as ETag."""
    return await read(uow, Note, note_id, request)


@router.patch("/{note_id}", response_model=NoteRead, operation_id="update_note")
async def update_note(note_id: UUID, body: NoteUpdate, uow: Uow) -> Response:
    """Change a note (RFC 7396 merge patch). A patch that changes nothing keeps the version."""
    return await one(uow, await commands.update_note(uow, note_id, body))


@router.delete("/{note_id}", status_code=204, operation_id="delete_note")
async def delete_note(note_id: UUID, uow: Uow) -> Response:
    """Delete a note. Its files are deleted soon afterwards."""
    await commands.delete_note(uow, note_id)
    return gone()


@router.get("/{note_id}/history", response_model=HistoryPage, operation_id="list_note_history")
@shows_history
async def list_note_history(note_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the note, newest first: who changed which field, when, and both values."""
    return await history(uow, Note, note_id, request)


@router.post("/{note_id}/assign", response_model=NoteRead, operation_id="assign_note")
async def assign_note(note_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the note to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_note(uow, note_id, body))
