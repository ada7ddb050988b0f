"""The queue of mails to send. A row says how far the attempt is, so that a worker that takes over knows what may be repeated.

A worker claims a row for a time. Before it sends the content of a mail it commits the phase ``data``: after that, nobody sends
the mail again by himself, because it may have been delivered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

CHANNEL: Final = "crm_mail"
"""Whoever queues a mail notifies this channel."""


QUEUE: Final = (
    "insert into outgoing_mail (email_id, recipients, null_sender, attempts, queued_at, due_at)"
    " values ($1, to_jsonb($2::text[]), $3, 0, $4, $4)"
    " on conflict (email_id) do update set recipients = excluded.recipients, attempts = 0, queued_at = excluded.queued_at,"
    " due_at = excluded.due_at, phase = null, claim = null"
)


async def queue_mail(uow: UnitOfWork, email_id: UUID, recipients: list[str], *, null_sender: bool = False) -> None:
    """Queue a mail, in the transaction that says so in the mail itself."""
    await (await uow.transaction()).exec_driver_sql(QUEUE, (email_id, recipients, null_sender, uow.now))
    uow.wakes(CHANNEL)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that a worker took from the queue."""

    email_id: UUID
    claim: UUID
    recipients: tuple[str, ...]
    null_sender: bool
    attempts: int
    """Attempts, this one included."""
    queued_at: datetime
    was_in_data: bool
    """Whether a worker ended while it sent the content: nobody knows whether it was delivered."""


CLAIM: Final = (
    "with next as (select email_id, phase from outgoing_mail where due_at <= $1 order by due_at limit 1 for update skip locked)"
    " update outgoing_mail o set claim = $2, due_at = $3,"
    " attempts = o.attempts + case when next.phase = 'data' then 0 else 1 end"
    " from next where o.email_id = next.email_id"
    " returning o.email_id, o.recipients, o.null_sender, o.attempts, o.queued_at, next.phase = 'data' as was_in_data"
)
ENTER_DATA: Final = "update outgoing_mail set phase = 'data' where email_id = $1 and claim = $2"
DONE: Final = "delete from outgoing_mail where email_id = $1 and claim = $2"
AGAIN: Final = (
    "update outgoing_mail set recipients = to_jsonb($3::text[]), due_at = $4, phase = null, claim = null"
    " where email_id = $1 and claim = $2"
)
QUEUED: Final = "select exists (select from outgoing_mail where email_id = $1)"
SOON: Final = "select exists (select from outgoing_mail where due_at <= $1)"
WAITING: Final = "select count(*), min(queued_at) from (select queued_at from outgoing_mail limit 100000) o"


async def claim_mail(conn: AsyncConnection, now: datetime, lease: timedelta) -> Claimed | None:
    """Take the mail that is due the longest, for the time of the lease; None if no mail is due."""
    claim = new_id()
    row = (await conn.exec_driver_sql(CLAIM, (now, claim, now + lease))).one_or_none()
    if row is None:
        return None
    recipients = orjson.loads(row.recipients) if isinstance(row.recipients, str) else row.recipients
    return Claimed(
        row.email_id, claim, tuple(recipients), row.null_sender, row.attempts, row.queued_at, bool(row.was_in_data)
    )


async def enter_data(conn: AsyncConnection, mail: Claimed) -> bool:
    """Say that the content is about to be sent. False if another worker has taken the mail over."""
    return (await conn.exec_driver_sql(ENTER_DATA, (mail.email_id, mail.claim))).rowcount == 1


async def is_queued(uow: UnitOfWork, email_id: UUID) -> bool:
    """Say whether a mail still waits to be sent to somebody. Load the mail first, so that no attempt ends meanwhile."""
    return bool((await (await uow.transaction()).exec_driver_sql(QUEUED, (email_id,))).scalar_one())


async def leave_queue(uow: UnitOfWork, mail: Claimed) -> bool:
    """Take the mail from the queue for good. False if another worker has taken it over."""
    conn = await uow.transaction()
    return (await conn.exec_driver_sql(DONE, (mail.email_id, mail.claim))).rowcount == 1


async def try_again(uow: UnitOfWork, mail: Claimed, recipients: Sequence[str], at: datetime) -> bool:
    """Put the mail back for these recipients. False if another worker has taken it over."""
    conn = await uow.transaction()
    done = await conn.exec_driver_sql(AGAIN, (mail.email_id, mail.claim, list(recipients), at))
    return done.rowcount == 1
