"""Limits what a caller's imports may take of the database: connections while a file is stored, and space afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.sentences import said
from crm_kit.configuration.settings import Settings
from crm_kit.errors import DomainError
from crm_kit.store.shares import Shares, TooManyAtOnce

FILES_AT_ONCE = 2
"""The most files that a process stores at a time. Each takes one of its few connections."""
WAIT_SECONDS = 20.0
RETRY_SECONDS = 30

_HELD = """
select count(*) filter (where status in ('queued', 'running')),
    coalesce(sum(total - done - skipped - failed) filter (where status in ('queued', 'running')), 0),
    coalesce(sum(bytes + error_bytes), 0)
from import_job where principal_id = $1
"""


class Storing:
    """Limits the files that this process stores at a time: one per caller, and few in all. Waiting takes no connection."""

    def __init__(self) -> None:
        self._shares = Shares(1, FILES_AT_ONCE, seconds=WAIT_SECONDS, name="import files")

    @asynccontextmanager
    async def turn_of(self, caller: UUID) -> AsyncIterator[None]:
        """Wait for the caller's turn. Raises 429 if the caller's other file takes too long, and 503 if the files of others do."""
        try:
            await self._shares.take(caller)
        except TooManyAtOnce:
            if self._shares.held(caller):
                raise
            raise DomainError("unavailable", "Other files are being stored. Try again.") from None
        try:
            yield
        finally:
            self._shares.give(caller)


@dataclass(frozen=True, slots=True)
class Quota:
    """The most jobs, waiting rows and bytes of one caller's imports."""

    jobs: int
    rows: int
    bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the quota of the settings."""
        return cls(settings.import_jobs, settings.import_rows, settings.import_bytes)

    def check_file(self, rows: int, size: int) -> None:
        """Raise 413 if a single file exceeds the quota."""
        for found, limit, what in ((rows, self.rows, said("rows")), (size, self.bytes, said("bytes"))):
            if found > limit:
                raise DomainError(
                    "body-too-large",
                    said(
                        "The file has more than {limit:,} {what}. Send it in parts, one after the other.",
                        limit=limit,
                        what=what,
                    ),
                    members={"limit": limit},
                )

    async def check(self, conn: AsyncConnection, caller: UUID) -> None:
        """Raise 429 if the caller cannot have another job."""
        held: Any = (await conn.exec_driver_sql(_HELD, (caller,))).one()
        self._judge(held[0] + 1, held[1], held[2])

    async def enforce(self, conn: AsyncConnection, caller: UUID) -> None:
        """Raise 429 if the caller's jobs exceed the quota, including the job of this transaction.

        A lock makes concurrent transactions of the caller count one at a time.
        """
        await conn.exec_driver_sql("select pg_advisory_xact_lock(hashtextextended($1, 0))", (f"imports {caller}",))
        held: Any = (await conn.exec_driver_sql(_HELD, (caller,))).one()
        self._judge(held[0], held[1], held[2])

    def _judge(self, jobs: int, rows: int, size: int) -> None:
        if jobs > self.jobs:
            raise _too_many(
                said(
                    "You have {jobs} imports waiting; send another when one of them is done, or cancel one.",
                    jobs=self.jobs,
                ),
                RETRY_SECONDS,
            )
        if rows > self.rows:
            raise _too_many(
                said(
                    "More than {rows:,} of your rows would wait; send this file when those before it are done.",
                    rows=self.rows,
                ),
                RETRY_SECONDS,
            )
        if size > self.bytes:
            raise _too_many(
                said(
                    "Your waiting and refused rows would take more than {bytes:,} bytes; send this file when those "
                    "before it are done, with fewer rows that are refused.",
                    bytes=self.bytes,
                ),
                RETRY_SECONDS,
            )


def _too_many(message: str, seconds: int) -> DomainError:
    return DomainError("too-many-requests", message, members={"retry_after": seconds})
