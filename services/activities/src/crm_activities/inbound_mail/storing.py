"""Stores mails as they arrive, before anything is read. Who has got an answer that a mail was stored may forget it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.inbound_mail.model import InboundMail, InboundSource
from crm_contracts.activities.inbound_mail import InboundMailCreated
from crm_kit.events import timers
from crm_kit.process.runtime import Runtime
from crm_kit.signals.metrics import counter
from crm_kit.store.record import new_id
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork

RECEIVED = counter("crm.mail.received", "Mails that arrived and were stored.", "mailbox")
LONGEST_MAILBOX: Final = 200

# Two workers that store the same mail for one mailbox, such as after a cursor was lost, store it one after the other.
TURN: Final = "select pg_advisory_xact_lock(hashtextextended('inbound_mail ' || $1, 0))"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail as it arrived. ``size`` is its whole size if only its head was taken."""

    mailboxes: Sequence[str]
    content: bytes
    received_at: datetime
    size: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.size <= len(self.content)


async def store(conn: AsyncConnection, runtime: Runtime, arrivals: Sequence[Arrival]) -> list[InboundMail]:
    """Store mails in the transaction of ``conn``. Returns those that are new; a mailbox has each sequence of bytes once.

    Call ``announce`` after the commit.
    """
    stored: list[InboundMail] = []
    uow = UnitOfWork.for_timer(conn, runtime)
    for arrival in arrivals:
        digest = hashlib.sha256(arrival.content).hexdigest()
        wanted = list(dict.fromkeys(mailbox[:LONGEST_MAILBOX] for mailbox in arrival.mailboxes))
        await conn.exec_driver_sql(TURN, (digest,))
        known = select(InboundMail.mailbox).where(InboundMail.digest == digest, InboundMail.mailbox.in_(wanted))
        missing = set(wanted) - set((await conn.execute(known)).scalars())
        if not missing:
            continue
        source = new_id()
        await conn.execute(insert(InboundSource).values(id=source, content=arrival.content))
        for mailbox in wanted:
            if mailbox in missing:
                mail = InboundMail(
                    mailbox=mailbox,
                    received_at=arrival.received_at,
                    size=max(arrival.size, len(arrival.content)),
                    complete=arrival.complete,
                    digest=digest,
                    warnings=[],
                    source=source,
                )
                stored.append(uow.add(mail, InboundMailCreated))
        # In its order, because a later arrival of the batch may be the same mail.
        await uow.flush()
    return stored


def announce(runtime: Runtime, stored: Sequence[InboundMail], source: str) -> None:
    """Count stored mails, and wake whoever reads them. ``source`` is the mailbox, or ``smtp`` for the inlet."""
    RECEIVED.labels(source).inc(len(stored))
    if stored:
        runtime.notifier.notify(WAKE_CHANNEL)
        runtime.notifier.notify(timers.CHANNEL)
