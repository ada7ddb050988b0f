"""The HTTP face of attachments."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from crm_activities.attachment import commands
from crm_activities.attachment.content import content_of
from crm_activities.attachment.listing import list_attachments as page_of
from crm_activities.attachment.model import Attachment
from crm_activities.attachment.schemas import AttachmentRead, AttachmentUpdate
from crm_activities.files.form import FileForm, body_of
from crm_activities.files.names import safe_name
from crm_activities.files.stored import keep, too_large
from crm_activities.settings import settings_of
from crm_contracts.types import EntityName
from crm_kit.errors import DomainError
from crm_kit.http.openapi import told
from crm_kit.http.requests import STREAMS, Uow, about, key_upload
from crm_kit.records.answers import UncountedPage, created, gone, page
from crm_kit.records.answers import one as one_of
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE
from crm_kit.records.parameters import shows_history
from crm_kit.records.patching import Assignment

router = APIRouter(prefix="/attachments", tags=["attachments"], route_class=about(Attachment))

FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "The file."}},
                }
            },
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary", "description": "The content of the file."}
            },
        },
    },
}
CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "The part of the file that `Range` asks for.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "You have the file already: If-None-Match names its ETag."},
    416: told(416),
}


@router.get("", response_model=UncountedPage[AttachmentRead], operation_id="list_attachments")
async def list_attachments(
    uow: Uow,
    regarding: Annotated[UUID, Query(description="Id of the record, of any service.")],
    regarding_type: Annotated[
        EntityName | None,
        Query(max_length=50, description="Entity of the record, such as `lead`. It finds a record that was just made."),
    ] = None,
    inline: Annotated[
        bool | None, Query(description="Only files that a text shows (`true`), or only others (`false`).")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Attachments per page, 1 to 200.")] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> Response:
    """The attachments of a record, newest first.

    404 unless you may read the record, as for its timeline; 410 `merged` names the `survivor` of a merged record.
    """
    found = await page_of(uow, regarding_type, regarding, inline=inline, limit=limit, after=after)
    return page(*found, count=None)


@router.post(
    "",
    response_model=AttachmentRead,
    status_code=201,
    operation_id="create_attachment",
    openapi_extra={**FILE, **STREAMS},
)
async def create_attachment(
    request: Request,
    uow: Uow,
    regarding_type: Annotated[EntityName, Query(max_length=50, description="Entity of the record, such as `lead`.")],
    regarding_id: Annotated[UUID, Query(description="Id of the record, of any service.")],
    name: Annotated[
        str | None,
        Query(max_length=2000, description="Name of the file; by default the one that the form gives it."),
    ] = None,
    content_id: Annotated[
        str | None,
        Query(min_length=1, max_length=998, pattern=r"^[^<>\s]+$", description="Content-ID for `cid:` in HTML."),
    ] = None,
    inline: Annotated[bool, Query(description="Whether a text shows the file.")] = False,
) -> Response:
    """Attach a file to a record that you may write: as the part `file` of `multipart/form-data`, or as the body itself with any
    other type. It is stored while it arrives, and may have up to CRM_MAX_FILE_BYTES bytes: 413 `body-too-large`.

    The name is made harmless: it has no path and at most 255 bytes of UTF-8, with its extension. The content decides the media
    type. 404 unless you may read the record; 403 unless you may write it.
    """
    place = await commands.upload_place(uow, regarding_type, regarding_id)
    limit = settings_of(uow.runtime).max_file_bytes
    _refuse_declared(request, limit)
    if request.headers.get("content-type", "").lstrip().lower().startswith("multipart/"):
        form = FileForm(request)
        content = await form.open()
        name = name or form.name
    else:
        content = body_of(request)
    kept = await keep(uow.runtime, content, safe_name(name), limit=limit)
    said = (regarding_type, str(regarding_id), name or "", content_id or "", str(inline), kept.sha256)
    key_upload(request, uow, "\0".join(said).encode(errors="replace"))
    return await created(uow, await commands.add_upload(uow, place, kept, name, content_id, inline))


@router.get("/{attachment_id}", response_model=AttachmentRead, operation_id="get_attachment")
async def get_attachment(attachment_id: UUID, uow: Uow) -> Response:
    """One attachment, with its version as ETag. `/content` is the file. 404 unless you may read its record."""
    return await one_of(uow, await commands.read_attachment(uow, attachment_id))


@router.get(
    "/{attachment_id}/content",
    response_class=Response,
    operation_id="get_attachment_content",
    responses=CONTENT,
    openapi_extra=STREAMS,
)
async def get_attachment_content(attachment_id: UUID, request: Request, uow: Uow) -> Response:
    """The file. `Range` asks for a part of it, HEAD for its headers. The ETag is its SHA-256.

    It is sent to be saved (`Content-Disposition: attachment`), with `nosniff` and a sandbox, whatever its type.
    """
    attachment = await commands.read_attachment(uow, attachment_id)
    await uow.link.let_go()
    return await content_of(request, uow.runtime, attachment)


@router.patch("/{attachment_id}", response_model=AttachmentRead, operation_id="update_attachment")
async def update_attachment(attachment_id: UUID, body: AttachmentUpdate, uow: Uow) -> Response:
    """Give the file another name (RFC 7396 merge patch). Its content never changes. You must be able to write its record."""
    return await one_of(uow, await commands.update_attachment(uow, attachment_id, body))


@router.delete("/{attachment_id}", status_code=204, operation_id="delete_attachment")
async def delete_attachment(attachment_id: UUID, uow: Uow) -> Response:
    """Remove the file from its record, and delete its content. You must be able to write the record."""
    await commands.delete_attachment(uow, attachment_id)
    return gone()


@router.get("/{attachment_id}/history", response_model=HistoryPage, operation_id="list_attachment_history")
@shows_history
async def list_attachment_history(attachment_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the attachment, newest first: who changed what, when, and both values."""
    return await history(uow, Attachment, attachment_id, request, commands.read_attachment)


@router.post("/{attachment_id}/assign", response_model=AttachmentRead, operation_id="assign_attachment")
async def assign_attachment(attachment_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the attachment to another user or team; 422 for an unknown or inactive one. Who may read its record may read it."""
    return await one_of(uow, await commands.assign_attachment(uow, attachment_id, body))


def _refuse_declared(request: Request, limit: int) -> None:
    """Refuse a body that says that it is too large. A form is a little larger than its file."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit + 64 * 1024:
        raise too_large(limit)
    if declared == "0":
        raise DomainError("invalid-request", "Send a file.")
