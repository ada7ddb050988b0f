"""Reads stored mails into e-mails. A mail that cannot be read is kept as unreadable, and the next one is read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Select, select

from crm_activities.inbound_mail.attaching import attach_files, files_of
from crm_activities.inbound_mail.model import InboundMail, InboundSource
from crm_activities.inbound_mail.reports import apply_report
from crm_activities.inbound_mail.settings import mailboxes_of, settings_of
from crm_activities.mail.bodies import body_of
from crm_activities.mail.reading.addresses import Address
from crm_activities.mail.reading.quoted import reply_of
from crm_activities.mail.reading.reader import ReadMail, read_mail
from crm_activities.mail.receiving import MOST_WARNINGS, Person, Receipt, ReceivedMail, receive
from crm_contracts.activities.email import Automatic
from crm_contracts.activities.inbound_mail import InboundMailRead, InboundMailReason, InboundMailUnreadable
from crm_kit.errors import DomainError
from crm_kit.events.received import describe
from crm_kit.signals.metrics import counter
from crm_kit.store.outages import database_away, database_busy
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)

READ = counter("crm.mail.read", "Incoming mails that were read, by what they were found to be.", "reason")
UNREADABLE = counter("crm.mail.unreadable", "Incoming mails that could not be read.")

Owner = tuple[str, UUID, UUID]
OWNER: Final = (
    "select kind, id, business_unit_id from principal_ref where active and not deleted and"
    " (lower(email) = lower($1) or (kind = 'team' and name = $1)) order by kind desc, id limit 1"
)
FIRST: Final = (
    "select kind, id, business_unit_id from principal_ref where active and not deleted and kind = 'user'"
    " order by id limit 1"
)


def pending_mails(now: datetime) -> Select[UUID]:
    """Return the mails that are to be read, in the order in which they arrived."""
    return (
        select(InboundMail.id).where(InboundMail.status == "pending").order_by(InboundMail.created_at, InboundMail.id)
    )


async def read_inbound(mail_id: UUID, uow: UnitOfWork) -> None:
    """Read one mail. What reading it writes is written as a whole or not at all.

    An outage is raised, and the mail is tried again. Any other failure makes it unreadable, with the reason.
    """
    mail = await uow.load(InboundMail, mail_id)
    conn = await uow.transaction()
    inner = UnitOfWork(uow.runtime, uow.principal, uow.cause, conn=conn)
    try:
        async with conn.begin_nested():
            received, reason = await _take(inner, mail)
            await inner.flush()
    except Exception as error:
        if database_away(error) or database_busy(error) or _passes(error):
            raise
        log.error("inbound_mail.unreadable", inbound_mail=str(mail_id), error=describe(error))
        mail.give_up(_told(error), uow.now)
        uow.emit(mail, InboundMailUnreadable)
        UNREADABLE.inc()
        return
    mail.take(reason, received.message_id, received.warnings, uow.now)
    uow.emit(mail, InboundMailRead, reason=reason)
    READ.labels(reason.value).inc()


async def _take(uow: UnitOfWork, mail: InboundMail) -> tuple[ReceivedMail, InboundMailReason]:
    content = (await uow.execute(select(InboundSource.content).where(InboundSource.id == mail.source))).scalar_one()
    read = read_mail(content)
    about = await apply_report(uow, read, read.reached) if read.report else None
    files, left_out = files_of(uow.runtime, read)
    received = await _received(uow, mail, read, left_out, [about.message_id] if about else [])
    receipt = await receive(uow, received)
    if receipt.new:
        await attach_files(uow, receipt.email, files)
    mail.email_id, mail.about_id = receipt.email.id, about.id if about else None
    return received, _reason(read, receipt)


def _reason(read: ReadMail, receipt: Receipt) -> InboundMailReason:
    if receipt.ours:
        return InboundMailReason.OWN
    if read.report is not None:
        return InboundMailReason(read.report.kind.value)
    return InboundMailReason.EMAIL if receipt.new else InboundMailReason.KNOWN


async def _received(
    uow: UnitOfWork, mail: InboundMail, read: ReadMail, left_out: Sequence[str], about: Sequence[str]
) -> ReceivedMail:
    body = body_of(read.html, read.text)
    text = body.text or ""
    reply = reply_of(text)
    head_only = () if mail.complete else ("the mail is too large, only its head was taken",)
    return ReceivedMail(
        message_id=read.message_id,
        mailbox=mail.mailbox,
        received_at=mail.received_at,
        sender=_person(read.sender) if read.sender else None,
        subject=read.subject,
        to=[_person(one) for one in read.to],
        cc=[_person(one) for one in read.cc],
        bcc=[_person(one) for one in read.bcc],
        html=read.html,
        text=read.text,
        reply_text=reply if reply != text.strip() else None,
        in_reply_to=read.in_reply_to[-1] if read.in_reply_to else None,
        # A mail may answer several; all of them belong to the conversation, and so does the mail that a report is about.
        references=[*about, *(one for one in read.in_reply_to if one not in read.references), *read.references],
        automatic=Automatic(read.automatic.value),
        sent_at=read.date,
        warnings=[*head_only, *left_out, *read.warnings][:MOST_WARNINGS],
        owner=await _owner(uow, mail.mailbox),
    )


def _person(address: Address) -> Person:
    return Person(address.address, address.name or None)


async def _owner(uow: UnitOfWork, mailbox: str) -> Owner | None:
    """The owner of mails of new conversations: that of the mailbox, that of the settings, or the first user."""
    settings = settings_of(uow.runtime)
    named = next((one.owner for one in mailboxes_of(uow.runtime) if one.name == mailbox and one.owner), settings.owner)
    conn: Any = await uow.connection()
    if named:
        row = (await conn.exec_driver_sql(OWNER, (named,))).one_or_none()
        if row is not None:
            return tuple(row)
        log.warning("inbound_mail.no_owner", named=named, instead="the first user")
    row = (await conn.exec_driver_sql(FIRST)).one_or_none()
    if row is None:
        raise NobodyYet("no user is known yet who could own the mail")
    return tuple(row)


class NobodyYet(Exception):
    """The directory is still empty. Its users arrive with the events of identity."""


def _passes(error: Exception) -> bool:
    """Whether the failure passes by itself: nothing is wrong with the mail."""
    return isinstance(error, NobodyYet) or (isinstance(error, DomainError) and error.slug == "unavailable")


def _told(error: Exception) -> str:
    # The text of an error of a library may have content of the mail.
    if isinstance(error, DomainError):
        return f"{error.slug}: {error.detail}"
    return type(error).__name__
