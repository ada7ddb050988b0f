"""What bounces and complaints change: the delivery of the mail of ours that they are about."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from crm_activities.email.model import Email
from crm_activities.mail.ids import known_id
from crm_activities.mail.outgoing import is_queued
from crm_activities.mail.reading.reader import ReadMail
from crm_activities.mail.reading.reports import Report, ReportKind
from crm_activities.mail.senders import senders_of
from crm_contracts.activities.email import Delivery, EmailBounced, EmailComplained, EmailDirection
from crm_kit.errors import NotFound
from crm_kit.work.uow import UnitOfWork

LONGEST_ANSWER: Final = 500
MOST_UNDELIVERED: Final = 100


async def apply_report(uow: UnitOfWork, read: ReadMail, reached: Sequence[str]) -> Email | None:
    """Note in the mail of ours that a report is about that it bounced, or that somebody complained.

    The address to which the report was sent names the mail (VERP), otherwise the Message-ID of the mail that it returns does.
    Returns that mail; None if it is unknown or not of ours. The same report again changes nothing.
    """
    report = read.report
    email_id = _named(uow, (*reached, *(one.address for one in read.to)))
    if report is None:
        return None
    email = await _find(uow, email_id, report.original_ids)
    if email is None or email.direction != EmailDirection.OUTGOING:
        return None
    before = email.delivery
    await _note(uow, email, report)
    if report.kind is ReportKind.COMPLAINT:
        email.delivery = Delivery.COMPLAINED
        return uow.emit_if_changed(email, EmailComplained)
    # A complaint says more than a bounce: somebody got the mail.
    email.delivery = before if before is Delivery.COMPLAINED else Delivery.BOUNCED
    return uow.emit_if_changed(email, EmailBounced)


def _named(uow: UnitOfWork, addresses: Sequence[str]) -> UUID | None:
    senders = senders_of(uow.runtime)
    return next((found for one in addresses if (found := senders.mail_of(one)) is not None), None)


async def _find(uow: UnitOfWork, email_id: UUID | None, message_ids: Sequence[str]) -> Email | None:
    if email_id is None and message_ids:
        ids = [known_id(one) for one in message_ids]
        email_id = (await uow.execute(select(Email.id).where(Email.message_id.in_(ids)))).scalars().first()
    if email_id is None:
        return None
    try:
        return await uow.load(Email, email_id)
    except NotFound:
        return None


async def _note(uow: UnitOfWork, email: Email, report: Report) -> None:
    """Keep who did not get the mail, and what the server said. An address is listed once, with the latest answer."""
    if report.kind is ReportKind.COMPLAINT:
        return
    if email.status_reason == "pending_send":
        # A server had the mail, and so it was sent. It must not be sent again, except to those who still wait for it.
        if await is_queued(uow, email.id):
            email.sent_at = email.sent_at or uow.now
        else:
            email.deliver(email.sent_at or uow.now)
    refused = {one["address"].casefold(): one for one in email.undelivered}
    for one in report.recipients:
        if one.address:
            answer = " ".join(f"{one.status} {one.diagnostic}".split())[:LONGEST_ANSWER] or "no reason given"
            refused[one.address.casefold()] = {"address": one.address[:254], "answer": answer}
    email.undelivered = list(refused.values())[:MOST_UNDELIVERED]
    first = report.recipients[0]
    email.delivery_answer = (
        " ".join(f"{first.status} {first.diagnostic}".split())[:LONGEST_ANSWER] or email.delivery_answer
    )
