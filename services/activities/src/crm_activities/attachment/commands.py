"""Commands on attachments. Other slices attach files with ``attach``."""

from collections.abc import AsyncIterable
from uuid import UUID

from crm_activities.attachment.access import Place, find_place, place_of, require_write
from crm_activities.attachment.model import Attachment
from crm_activities.attachment.schemas import AttachmentUpdate
from crm_activities.files.names import safe_name
from crm_activities.files.sniffing import UNTOLD, is_media_type
from crm_activities.files.stored import Kept, claim, keep, release
from crm_contracts.access import Privilege
from crm_contracts.activities.attachment import (
    AttachmentAssigned,
    AttachmentCreated,
    AttachmentDeleted,
    AttachmentUpdated,
)
from crm_kit.errors import DomainError, NotFound
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.store.record import OwnedRecord
from crm_kit.work.link import SYSTEM
from crm_kit.work.loading import by_id
from crm_kit.work.uow import UnitOfWork

LONGEST_CONTENT_ID = 998


async def attach(
    uow: UnitOfWork,
    record: OwnedRecord,
    stream: AsyncIterable[bytes],
    name: str | None,
    *,
    media_type: str | None = None,
    content_id: str | None = None,
    inline: bool = False,
    limit: int | None = None,
) -> Attachment:
    """Store a stream and attach it to a record of this service, which may be new in this unit of work. Checks no access.

    ``name`` is made harmless. The content decides the media type; ``media_type`` is what the sender says, and is taken if the
    content does not tell. The file exists if and only if the unit of work commits. Where the bytes are there before the
    transaction begins, call ``keep`` first and then ``add_kept``, so that no connection waits for them.

    Raises 413 ``body-too-large`` above ``limit`` bytes (CRM_MAX_FILE_BYTES unless given), and 503 ``unavailable`` if they cannot
    be stored.
    """
    kept = await keep(uow.runtime, stream, safe_name(name), limit=limit)
    return await add_kept(uow, record, kept, name, media_type=media_type, content_id=content_id, inline=inline)


async def add_kept(
    uow: UnitOfWork,
    record: OwnedRecord,
    kept: Kept,
    name: str | None,
    *,
    media_type: str | None = None,
    content_id: str | None = None,
    inline: bool = False,
) -> Attachment:
    """Attach a stored file to a record of this service. Checks no access. If the service itself acts, the owner of the record
    owns the attachment, too."""
    attachment = _attachment(place_of(record), kept, name, media_type, content_id, inline)
    if uow.principal.kind == SYSTEM:
        attachment.owner_type, attachment.owner_id = record.owner_type, record.owner_id
        attachment.business_unit_id = record.business_unit_id
    await claim(uow, kept.id)
    place_of(record).introduce(uow)
    return uow.add(attachment, AttachmentCreated)


async def upload_place(uow: UnitOfWork, kind: str, record_id: UUID) -> Place:
    """Return the record to which the caller may attach files. Raises 403, and 404 if the caller may not read it.

    It keeps no connection, because the file is still to arrive.
    """
    uow.principal.require(Attachment.entity(), Privilege.CREATE)
    place = await find_place(uow, kind, record_id)
    require_write(uow, place)
    await uow.link.let_go()
    return place


async def add_upload(
    uow: UnitOfWork, place: Place, kept: Kept, name: str | None, content_id: str | None, inline: bool
) -> Attachment:
    """Attach a stored file to a record on behalf of the caller, who owns it. Claims the Idempotency-Key."""
    await uow.start(Attachment)
    # The record may have been deleted, or given away, while the file arrived.
    place = await find_place(uow, place.type, place.id)
    require_write(uow, place)
    await claim(uow, kept.id)
    place.introduce(uow)
    return uow.add(_attachment(place, kept, name, None, content_id, inline), AttachmentCreated)


def _attachment(
    place: Place, kept: Kept, name: str | None, media_type: str | None, content_id: str | None, inline: bool
) -> Attachment:
    told = media_type if media_type is not None and kept.media_type in UNTOLD and is_media_type(media_type) else None
    return Attachment(
        regarding_type=place.type,
        regarding_id=place.id,
        name=safe_name(name),
        media_type=told or kept.media_type,
        size=kept.size,
        sha256=kept.sha256,
        inline=inline,
        content_id=content_id[:LONGEST_CONTENT_ID] if content_id else None,
        file_key=kept.id,
    )


async def read_attachment(uow: UnitOfWork, attachment_id: UUID) -> Attachment:
    """Return an attachment of a record that the caller may read, without a lock. Raises 403 and 404."""
    uow.principal.require(Attachment.entity(), Privilege.READ)
    row = (await uow.execute(by_id(Attachment, lock=False), {"id": attachment_id})).one_or_none()
    if row is None:
        raise NotFound(Attachment.entity())
    attachment = Attachment.from_row(dict(row._mapping))
    await _place_of(uow, attachment)
    return attachment


async def update_attachment(uow: UnitOfWork, attachment_id: UUID, body: AttachmentUpdate) -> Attachment:
    """Give a file another name."""
    attachment = await _hold(uow, attachment_id, Privilege.WRITE)
    values = body.onto(attachment)
    apply(attachment, {name: safe_name(value) for name, value in values.items()})
    return uow.emit_if_changed(attachment, AttachmentUpdated)


async def assign_attachment(uow: UnitOfWork, attachment_id: UUID, body: Assignment) -> Attachment:
    """Assign the attachment to another owner."""
    attachment = await _hold(uow, attachment_id, Privilege.ASSIGN)
    await assign(uow, attachment, body, AttachmentAssigned)
    return attachment


async def delete_attachment(uow: UnitOfWork, attachment_id: UUID) -> None:
    """Remove a file from its record, and delete its content."""
    await remove_attachments(uow, [await _hold(uow, attachment_id, Privilege.DELETE)])


async def remove_attachments(uow: UnitOfWork, attachments: list[Attachment]) -> None:
    """Delete locked attachments, and soon their content. Checks nothing."""
    for attachment in attachments:
        uow.remove(attachment, AttachmentDeleted)
    await release(uow, *(attachment.file_key for attachment in attachments))


async def _hold(uow: UnitOfWork, attachment_id: UUID, privilege: Privilege) -> Attachment:
    """Lock an attachment of a record that the caller may write."""
    uow.principal.require(Attachment.entity(), privilege)
    attachment = await uow.hold(Attachment, attachment_id)
    require_write(uow, await _place_of(uow, attachment))
    return attachment


async def _place_of(uow: UnitOfWork, attachment: Attachment) -> Place:
    try:
        place = await find_place(uow, attachment.regarding_type, attachment.regarding_id)
    except DomainError as error:
        if error.slug == "not-found":
            raise NotFound(Attachment.entity()) from None
        raise
    place.introduce(uow)
    return place
