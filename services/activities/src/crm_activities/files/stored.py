"""The files that the storage has, or should no longer have: one row for each.

The row is committed before the first byte is stored, with the time at which the file is deleted unless something keeps it. So a
crash at any moment leaves neither a record without its file nor a file without a row.
"""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Select, delete, insert, select, update

from crm_activities.files.model import StoredFile
from crm_activities.files.opening import storage_of
from crm_activities.files.sniffing import HEAD, media_type_of
from crm_activities.files.storage import key_of
from crm_activities.settings import settings_of
from crm_contracts.sentences import said
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.events import timers
from crm_kit.process.runtime import Runtime
from crm_kit.signals.metrics import counter
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)

UNCLAIMED: Final = timedelta(days=1)
"""How long a file is kept that nothing has claimed. It is longer than any upload takes."""

BYTES = counter("crm.files.bytes", "Bytes of files that were stored.")
DELETED = counter("crm.files.deleted", "Files that were deleted from the storage.")


FILES: Any = StoredFile.__table__


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was stored, and that nothing has claimed yet."""

    id: UUID
    size: int
    sha256: str
    media_type: str


async def keep(runtime: Runtime, chunks: AsyncIterable[bytes], name: str, *, limit: int | None = None) -> Kept:
    """Store a stream in constant memory. Without ``claim`` it is deleted after a day.

    It uses a connection of its own for a moment before the first byte, so call it before a transaction where you can. Raises 413
    ``body-too-large`` above ``limit`` bytes, which is CRM_MAX_FILE_BYTES unless given, and 503 ``unavailable`` if the storage
    cannot be reached.
    """
    storage = storage_of(runtime)
    limit = settings_of(runtime).max_file_bytes if limit is None else limit
    file_id, now = new_id(), clock.now()
    async with runtime.db.autocommit() as conn:
        await conn.execute(insert(FILES).values(id=file_id, created_at=now, due_at=now + UNCLAIMED))
    passing = _Passing(chunks, limit)
    try:
        await storage.put(key_of(file_id), passing.pieces())
    except Exception as error:
        if passing.failure is not None:
            # Not every library lets an exception of its source through.
            raise passing.failure from error
        if isinstance(error, DomainError):
            raise
        log.warning("files.unavailable", error=type(error).__name__, detail=str(error)[:500])
        raise DomainError("unavailable", "The file cannot be stored now. Try again.") from error
    BYTES.inc(passing.size)
    media_type = media_type_of(bytes(passing.head), name, whole=passing.size <= HEAD)
    return Kept(file_id, passing.size, passing.digest.hexdigest(), media_type)


class _Passing:
    """Counts and digests the bytes that pass, and keeps the first of them."""

    def __init__(self, chunks: AsyncIterable[bytes], limit: int) -> None:
        self.size, self.digest, self.head = 0, hashlib.sha256(), bytearray()
        self.failure: Exception | None = None
        self._chunks, self._limit = chunks, limit

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                if not chunk:
                    continue
                self.size += len(chunk)
                if self.size > self._limit:
                    raise too_large(self._limit)
                self.digest.update(chunk)
                if len(self.head) < HEAD:
                    self.head += chunk[: HEAD - len(self.head)]
                yield chunk
        except Exception as error:
            self.failure = error
            raise


def too_large(limit: int) -> DomainError:
    """Return the 413 of a file that is larger than ``limit`` bytes."""
    return DomainError(
        "body-too-large", said("Send a file of at most {limit} bytes.", limit=limit), members={"limit": limit}
    )


async def claim(uow: UnitOfWork, file_id: UUID) -> None:
    """Keep a stored file for good, with the transaction of the unit of work. Raises 503 if it was deleted meanwhile."""
    await uow.transaction()
    claimed = await uow.execute(update(FILES).where(FILES.c.id == file_id).values(due_at=None).returning(FILES.c.id))
    if claimed.first() is None:
        raise DomainError("unavailable", "The file was stored too long ago. Send it again.")


async def release(uow: UnitOfWork, *file_ids: UUID) -> None:
    """Delete stored files soon after the transaction of the unit of work."""
    await uow.transaction()
    await uow.execute(update(FILES).where(FILES.c.id.in_(file_ids)).values(due_at=uow.now))
    uow.wakes(timers.CHANNEL)


def due_files(now: datetime) -> Select[UUID]:
    """Return the files that nothing keeps, the longest due first."""
    return select(FILES.c.id).where(FILES.c.due_at <= now).order_by(FILES.c.due_at)


async def sweep(file_id: UUID, uow: UnitOfWork) -> None:
    """Delete a file from the storage, then its row. A crash between the two repeats the first."""
    await storage_of(uow.runtime).delete(key_of(file_id))
    await uow.execute(delete(FILES).where(FILES.c.id == file_id))
    DELETED.inc()
