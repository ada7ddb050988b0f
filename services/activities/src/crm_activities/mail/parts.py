"""The attachments and images of a mail that is sent: the files that are attached to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from crm_activities.attachment.model import Attachment
from crm_activities.files.opening import storage_of
from crm_activities.files.storage import Missing, key_of
from crm_activities.mail.composing import Part
from crm_contracts.sentences import said
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.work.uow import UnitOfWork

MOST_FILES: Final = 100
MAIL_FILE_BYTES: Final = 18 * 1024**2
"""The most bytes of all files of a mail. In base64 they are 25 MiB, which most mail servers take."""


class CannotBeRead(Exception):
    """The storage does not give a file now. The text says which."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a mail, before it is read."""

    key: UUID
    name: str
    media_type: str
    size: int
    content_id: str | None


async def require_sendable(uow: UnitOfWork, email_id: UUID) -> None:
    """422 ``mail-too-large`` if the files of a mail are more than mail servers take."""
    asked = select(func.count(), func.coalesce(func.sum(Attachment.size), 0)).where(Attachment.regarding_id == email_id)
    found: Any = (await uow.execute(asked)).one()
    count, size = found
    if count > MOST_FILES or size > MAIL_FILE_BYTES:
        message = said(
            "Remove attachments: a mail has at most {most} files of {size} MiB in all. Send a link instead.",
            most=MOST_FILES,
            size=MAIL_FILE_BYTES // 1024**2,
        )
        raise InvalidValue("/attachments", "mail-too-large", message)


async def files_of(uow: UnitOfWork, email_id: UUID) -> Sequence[File]:
    """Return the files of a mail in the order in which they were attached."""
    asked = select(
        Attachment.file_key, Attachment.name, Attachment.media_type, Attachment.size, Attachment.content_id
    ).where(Attachment.regarding_id == email_id)
    rows = await uow.execute(asked.order_by(Attachment.created_at, Attachment.id).limit(MOST_FILES))
    return [File(row.file_key, row.name, row.media_type, row.size, row.content_id) for row in rows]


async def read_parts(runtime: Runtime, files: Sequence[File]) -> Sequence[Part]:
    """Read the files. Raises CannotBeRead."""
    if sum(one.size for one in files) > MAIL_FILE_BYTES:
        raise CannotBeRead("The attachments are larger than a mail may be.")
    parts = []
    for one in files:
        content = bytearray()
        try:
            async for piece in storage_of(runtime).get(key_of(one.key), 0, one.size):
                content += piece
        except (Missing, DomainError, OSError) as error:
            raise CannotBeRead(f"The file {one.name} cannot be read now: {type(error).__name__}.") from error
        content_id = one.content_id.strip("<>") if one.content_id else None
        parts.append(Part(bytes(content), one.media_type, one.name, content_id))
    return parts
