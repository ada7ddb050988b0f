"""Takes a mail that was read from its source into the e-mails. Reading the bytes is the job of others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from crm_activities.email.model import Email
from crm_activities.mail.bodies import Body, body_of, keep_body
from crm_activities.mail.headers import in_one_line
from crm_activities.mail.ids import chain, known_id
from crm_activities.mail.threads import join_thread
from crm_contracts.activities.activity import PartyRole, Priority
from crm_contracts.activities.email import (
    Automatic,
    Delivery,
    EmailDirection,
    EmailReceived,
    EmailUpdated,
)
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

NO_SUBJECT: Final = "(no subject)"
MOST_PARTIES: Final = 500
MOST_WARNINGS: Final = 50
LONGEST_ADDRESS, LONGEST_NAME = 254, 200


@dataclass(frozen=True, slots=True)
class Person:
    """A sender or recipient as a mail names them."""

    address: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail as it was read. Texts have neither lone surrogates nor U+0000."""

    message_id: str
    """Its Message-ID with angle brackets; one derived from its bytes if it has none."""
    mailbox: str
    """The name or address of the mailbox in which it was found."""
    received_at: datetime
    sender: Person | None = None
    subject: str = ""
    to: Sequence[Person] = ()
    cc: Sequence[Person] = ()
    bcc: Sequence[Person] = ()
    html: str | None = None
    text: str | None = None
    reply_text: str | None = None
    """The text without what it quotes; None if nothing was split off."""
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    automatic: Automatic = Automatic.NO
    sent_at: datetime | None = None
    """The time that its sender wrote in the header Date."""
    warnings: Sequence[str] = ()
    owner: tuple[str, UUID, UUID] | None = None
    """Type, id and business unit of the owner of a mail that belongs to no known conversation."""
    parties: Sequence[dict[str, Any]] = field(default_factory=list)
    """Records by address, as a caller knows them: ``{"address": …, "party": {"type", "id", "name", "deleted"}}``."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a received mail."""

    email: Email
    new: bool
    """Whether it was not known before. Only then it may start anything."""
    ours: bool
    """Whether it is a mail of ours that came back."""


async def receive(uow: UnitOfWork, mail: ReceivedMail) -> Receipt:
    """Store a received mail, once for each Message-ID.

    A mail that is known already gets the further mailbox. One that we sent stays what it is. A new mail joins the conversation
    that it names, and belongs to the owner of the newest mail of it, about the same record.
    """
    message_id = known_id(mail.message_id)
    if (known := await _known(uow, message_id)) is not None:
        return await _again(uow, known, mail)
    references = chain(mail.references, mail.in_reply_to)
    thread_id = await join_thread(uow, chain([one for one in references if one != message_id], message_id))
    # Two workers may read the same mail from two mailboxes. The second one waited for the thread of the first.
    if (known := await _known(uow, message_id)) is not None:
        return await _again(uow, known, mail)
    body = body_of(mail.html, mail.text, mail.reply_text)
    email = Email(
        **await _belonging(uow, thread_id, mail),
        id=new_id(),
        status="completed",
        status_reason="received",
        completed_at=mail.received_at,
        received_at=mail.received_at,
        sent_at=mail.sent_at,
        direction=EmailDirection.INCOMING,
        subject=in_one_line(mail.subject, 200) or NO_SUBJECT,
        priority=Priority.NORMAL,
        sender=mail.sender.address[:LONGEST_ADDRESS] if mail.sender else None,
        parties=_parties(mail),
        message_id=message_id,
        in_reply_to=known_id(mail.in_reply_to) if mail.in_reply_to else None,
        references=references,
        thread_id=thread_id,
        mailboxes=[in_one_line(mail.mailbox, 200)],
        automatic=mail.automatic,
        delivery=Delivery.NONE,
        undelivered=[],
        attempts=0,
        decode_warnings=[kept for one in mail.warnings[:MOST_WARNINGS] if (kept := in_one_line(one, 200))],
        preview=body.preview,
        body_digest=body.digest,
    )
    await _keep(uow, email.id, body)
    uow.add(email, EmailReceived, received_at=mail.received_at)
    return Receipt(email, new=True, ours=False)


async def _known(uow: UnitOfWork, message_id: str) -> UUID | None:
    found = await uow.execute(select(Email.id).where(Email.message_id == message_id))
    return found.scalar_one_or_none()


async def _again(uow: UnitOfWork, email_id: UUID, mail: ReceivedMail) -> Receipt:
    email = await uow.load(Email, email_id)
    ours = email.direction == EmailDirection.OUTGOING
    mailbox = in_one_line(mail.mailbox, 200)
    if not ours and mailbox not in email.mailboxes:
        email.mailboxes = sorted({*email.mailboxes, mailbox})
        uow.emit(email, EmailUpdated)
    return Receipt(email, new=False, ours=ours)


async def _keep(uow: UnitOfWork, email_id: UUID, body: Body) -> None:
    if body.digest is not None:
        await keep_body(uow, email_id, body)


async def _belonging(uow: UnitOfWork, thread_id: UUID, mail: ReceivedMail) -> dict[str, Any]:
    """Return owner and record of a new mail: those of the newest mail of its conversation, else those of its mailbox."""
    newest = (
        select(Email.owner_type, Email.owner_id, Email.business_unit_id, Email.regarding_type, Email.regarding_id)
        .where(Email.thread_id == thread_id)
        .order_by(Email.happened_at.desc(), Email.id.desc())
        .limit(1)
    )
    row = (await uow.execute(newest)).one_or_none()
    if row is not None:
        return dict(row._mapping)
    if mail.owner is None:
        raise ValueError(f"the mailbox {mail.mailbox} has no owner for new conversations")
    owner_type, owner_id, unit = mail.owner
    return {"owner_type": owner_type, "owner_id": owner_id, "business_unit_id": unit}


def _parties(mail: ReceivedMail) -> list[dict[str, Any]]:
    known = {one["address"].casefold(): one["party"] for one in mail.parties}
    named = [
        *((PartyRole.FROM, one) for one in ([mail.sender] if mail.sender else [])),
        *((PartyRole.TO, one) for one in mail.to),
        *((PartyRole.CC, one) for one in mail.cc),
        *((PartyRole.BCC, one) for one in mail.bcc),
    ]
    found = []
    for role, person in named[:MOST_PARTIES]:
        address = in_one_line(person.address, LONGEST_ADDRESS)
        if not address:
            continue
        record = known.get(address.casefold())
        name = (in_one_line(person.name, LONGEST_NAME) if person.name else None) or (record["name"] if record else None)
        found.append({"role": role.value, "party": record, "address": address, "name": name})
    return found
