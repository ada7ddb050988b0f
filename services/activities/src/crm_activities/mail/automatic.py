"""Mails that a program of ours writes by itself. They say so, and nobody gets many of them (RFC 3834).

An answer has no sender in its envelope, so that no program answers it. A mailbox answers a sender at most once a day.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.email.commands import draft
from crm_activities.email.domain import recipients_of
from crm_activities.email.model import Email
from crm_activities.mail.bodies import body_of
from crm_activities.mail.headers import in_one_line
from crm_activities.mail.outgoing import queue_mail
from crm_contracts.activities.activity import PartyRole, Priority
from crm_contracts.activities.email import Automatic, Delivery
from crm_kit import clock
from crm_kit.store.chores import delete_some
from crm_kit.work.uow import UnitOfWork

ONCE_IN: Final = timedelta(days=1)
"""The time in which a mailbox answers a sender at most once by itself (RFC 3834 §2)."""


ANSWERS: Final = (
    "insert into automatic_mail as a (mailbox, recipient, at) values ($1, $2, $3) on conflict (mailbox, recipient)"
    " do update set at = excluded.at where a.at <= $4 returning at"
)


async def queue_automatic(
    uow: UnitOfWork,
    *,
    to: Sequence[tuple[str, str | None]],
    subject: str,
    text: str | None = None,
    html: str | None = None,
    owner: tuple[str, UUID, UUID],
    sender: str | None = None,
    regarding: tuple[str, UUID] | None = None,
    answers: Email | None = None,
    calendar: str | None = None,
) -> Email | None:
    """Queue a mail that a program wrote, to these addresses with their names. The worker sends it.

    ``answers`` is the mail that it answers. It then joins that mail's thread, its envelope has no sender, and it is None if
    that mail was automatic itself, or if its mailbox answered these addresses within a day. ``owner`` has type, id and business
    unit. ``calendar`` is an iCalendar object with its METHOD. Texts may contain any character: line breaks in subject and names
    become spaces.
    """
    addresses = [address for address, _ in to]
    if answers is not None and not await _may_answer(uow, answers, sender, addresses):
        return None
    owner_type, owner_id, unit = owner
    if regarding is None and answers is not None and answers.regarding_type and answers.regarding_id:
        regarding = (answers.regarding_type, answers.regarding_id)
    values: dict[str, Any] = {
        "subject": in_one_line(subject, 200) or "(no subject)",
        "priority": Priority.NORMAL,
        "sender": sender,
        "parties": [
            {
                "role": PartyRole.TO.value,
                "party": None,
                "address": address,
                "name": in_one_line(name or "", 200) or None,
            }
            for address, name in to
        ],
        "regarding_type": regarding[0] if regarding else None,
        "regarding_id": regarding[1] if regarding else None,
        "owner_type": owner_type,
        "owner_id": owner_id,
        "business_unit_id": unit,
        "automatic": Automatic.AUTO_REPLIED if answers is not None else Automatic.AUTO_GENERATED,
        "status": "completed",
        "status_reason": "pending_send",
        "completed_at": uow.now,
        "delivery": Delivery.QUEUED,
    }
    email = await draft(uow, values, body_of(html, text, calendar=calendar), answers)
    await queue_mail(uow, email.id, recipients_of(email.parties), null_sender=answers is not None)
    return email


async def _may_answer(uow: UnitOfWork, answered: Email, sender: str | None, addresses: Sequence[str]) -> bool:
    """Whether a mail may be answered by a program: it is not automatic, and nobody in it was answered within a day."""
    if answered.automatic != Automatic.NO:
        return False
    mailbox = (sender or (answered.mailboxes[0] if answered.mailboxes else "")).casefold()[:254]
    conn, free = await uow.transaction(), True
    for address in sorted({one.casefold()[:254] for one in addresses}):
        row = await conn.exec_driver_sql(ANSWERS, (mailbox, address, uow.now, uow.now - ONCE_IN))
        free = row.first() is not None and free
    return free


async def forget_old_answers(conn: AsyncConnection) -> int:
    """Delete some of what is older than a day; returns the number."""
    return await delete_some(conn, "automatic_mail", "at < $1", clock.now() - ONCE_IN)
