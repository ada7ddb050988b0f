"""Polls mailboxes over IMAP, and stores what is new. One worker at a time reads a mailbox, and no mailbox waits for another."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from crm_activities.inbound_mail import cursors
from crm_activities.inbound_mail.imap import Connection, Fetched, MailboxError
from crm_activities.inbound_mail.settings import Mailbox, mailboxes_of, server_of, settings_of
from crm_activities.inbound_mail.storing import Arrival, announce, store
from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.process.runtime import Runtime
from crm_kit.signals.metrics import counter, gauge

log = structlog.get_logger(__name__)

LONGEST_PAUSE: Final = 600.0
LAG = gauge("crm.mail.lag", "How long ago a worker last read a mailbox to its end.", "mailbox", unit="s")
FAILED = counter("crm.mail.poll_failed", "Attempts to read a mailbox that failed.", "mailbox")


class Polling:
    """The loop over all mailboxes, until it is stopped."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Return from ``run`` after the current batch."""
        self._stopping.set()

    async def run(self) -> None:
        """Poll until stopped. A mailbox that cannot be read pauses longer and longer, up to ten minutes."""
        async with asyncio.TaskGroup() as mailboxes:
            for mailbox in mailboxes_of(self._runtime):
                mailboxes.create_task(self._watch(mailbox))
            await self._stopping.wait()

    async def _watch(self, mailbox: Mailbox) -> None:
        seconds = settings_of(self._runtime).poll_seconds
        failing, began = Backoff(seconds, max(seconds, LONGEST_PAUSE)), clock.now()
        FAILED.labels(mailbox.name)
        while not self._stopping.is_set():
            pause = seconds
            try:
                await self.poll(mailbox)
                failing.reset()
            except Exception as error:  # noqa: BLE001  # whatever is wrong with one mailbox, the others go on
                FAILED.labels(mailbox.name).inc()
                pause = failing.next()
                log.warning("mailbox.failed", mailbox=mailbox.name, error=_told(error), again_in_seconds=round(pause))
            with suppress(SQLAlchemyError, OSError):
                async with self._runtime.db.autocommit() as conn:
                    seen = await cursors.polled_at(conn, mailbox.name) or began
                LAG.labels(mailbox.name).set(max(0.0, (clock.now() - seen).total_seconds()))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def poll(self, mailbox: Mailbox) -> int:
        """Store what is new in a mailbox; returns the number of new mails. Nothing happens while another worker reads it.

        Raises MailboxError, and ClaimLost.
        """
        async with self._runtime.db.begin() as conn:
            claim = await cursors.take(conn, mailbox.name)
        if claim is None:
            return 0
        problem: str | None = "interrupted"
        try:
            stored = await self._read(mailbox, claim)
            problem = None
        except Exception as error:
            problem = _told(error)
            raise
        finally:
            with suppress(SQLAlchemyError, OSError):
                async with self._runtime.db.begin() as conn:
                    done = clock.now() if problem is None and not self._stopping.is_set() else None
                    await cursors.let_go(conn, claim, done, problem)
        return stored

    async def _read(self, mailbox: Mailbox, claim: cursors.Claim) -> int:
        most = settings_of(self._runtime).max_bytes
        connection = await asyncio.to_thread(Connection, server_of(mailbox.server), mailbox.folder, most)
        try:
            # Other UIDs mean other mails (RFC 9051 2.3.1.1). What is stored already is recognised by its bytes.
            last = claim.last_uid if claim.uid_validity == connection.uid_validity else 0
            batches = connection.after(last)
            stored = 0
            while not self._stopping.is_set() and (batch := await asyncio.to_thread(_next, batches)):
                stored += await self._store(mailbox, claim, connection.uid_validity, batch)
            return stored
        finally:
            await asyncio.to_thread(connection.close)

    async def _store(self, mailbox: Mailbox, claim: cursors.Claim, validity: int, batch: list[Fetched]) -> int:
        now = clock.now()
        arrivals = [Arrival([mailbox.name], one.content, min(one.received_at or now, now), one.size) for one in batch]
        async with self._runtime.db.begin() as conn:
            await cursors.advance(conn, claim, validity, batch[-1].uid)
            stored = await store(conn, self._runtime, arrivals)
        announce(self._runtime, stored, mailbox.name)
        return len(stored)


def _next(batches: Iterator[list[Fetched]]) -> list[Fetched] | None:
    return next(batches, None)


def _told(error: Exception) -> str:
    """The text of an error of ours, the kind of any other, whose text may contain what a mail says."""
    return str(error)[:200] if isinstance(error, MailboxError | cursors.ClaimLost) else type(error).__name__
