"""The queue of mails to send. A row says how far the attempt is, so that a worker that takes over knows what may be repeated.

A worker claims a row for a time. Before it sends the content of a mail it commits the phase ``data``: after that, nobody sends
the mail again by himself, because it may have been delivered.
"""

from typing import Final
from uuid import UUID

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
