"""Attaches the files of a received mail to its e-mail."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from crm_activities.attachment.commands import attach
from crm_activities.email.model import Email
from crm_activities.mail.reading.bodies import ReadAttachment
from crm_activities.mail.reading.reader import ReadMail
from crm_activities.settings import settings_of
from crm_kit.process.runtime import Runtime
from crm_kit.work.uow import UnitOfWork

MOST_FILES: Final = 100
PIECE: Final = 1024 * 1024


def files_of(runtime: Runtime, read: ReadMail) -> tuple[list[ReadAttachment], list[str]]:
    """Return the files to keep, and a warning for what is left out. The source of the mail has all of them."""
    settings = settings_of(runtime)
    if read.attachments and not settings.files_url:
        return [], ["its files were left out, because CRM_FILES_URL is not set"]
    warnings = []
    if len(read.attachments) > MOST_FILES:
        warnings.append(f"more than {MOST_FILES} files, the rest was left out")
    files = [one for one in read.attachments[:MOST_FILES] if len(one.content) <= settings.max_file_bytes]
    if len(files) < min(len(read.attachments), MOST_FILES):
        warnings.append("a file was left out, because it is larger than CRM_MAX_FILE_BYTES")
    return files, warnings


async def attach_files(uow: UnitOfWork, email: Email, files: Sequence[ReadAttachment]) -> None:
    """Attach files to a new e-mail. Raises 503 ``unavailable`` if the storage cannot be reached."""
    for one in files:
        await attach(
            uow,
            email,
            _pieces(one.content),
            one.name,
            media_type=one.content_type,
            content_id=one.content_id or None,
            inline=one.inline,
        )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
