"""Commands on e-mails."""

from typing import Any
from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of, reopen, reschedule, snooze
from crm_activities.activity.parties import parties_of
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.email.domain import require_confirmation, require_recipient
from crm_activities.email.model import Email
from crm_activities.email.schemas import EmailComplete, EmailCreate, EmailSend, EmailUpdate
from crm_activities.inbound_mail.keeping import erase_sources
from crm_activities.mail.bodies import Body, body_of, keep_body, read_body
from crm_activities.mail.ids import answers, chain, new_message_id
from crm_activities.mail.outgoing import queue_mail
from crm_activities.mail.parts import require_sendable
from crm_activities.mail.senders import NO_DOMAIN, senders_of
from crm_activities.mail.threads import join_thread
from crm_contracts.access import Privilege
from crm_contracts.activities.email import (
    Automatic,
    Delivery,
    EmailAssigned,
    EmailCanceled,
    EmailCompleted,
    EmailCreated,
    EmailDeleted,
    EmailDirection,
    EmailQueued,
    EmailReopened,
    EmailRescheduled,
    EmailUpdated,
)
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork


async def create_email(uow: UnitOfWork, body: EmailCreate) -> Email:
    """Create a draft. The caller owns it."""
    await uow.start(Email)
    values = await columns_of(uow, body)
    html, text, answered_id = values.pop("html"), values.pop("text"), values.pop("reply_to_id")
    senders_of(uow.runtime).require(body.sender)
    values["parties"] = await parties_of(uow, body.parties)
    answered = None if answered_id is None else await uow.refer(Email, answered_id, "/reply_to_id")
    if answered is not None and body.regarding is None:
        values |= {"regarding_type": answered.regarding_type, "regarding_id": answered.regarding_id}
    return await draft(uow, values, body_of(html, text), answered)


async def draft(uow: UnitOfWork, values: dict[str, Any], body: Body, answered: Email | None = None) -> Email:
    """Add a draft with these columns, checked before, and its body. It joins the thread of the mail that it answers."""
    values.setdefault("id", new_id())
    sender = senders_of(uow.runtime).find(values.get("sender"))
    address = sender.address if sender else values.get("sender") or NO_DOMAIN
    references = [] if answered is None else answers(answered.message_id, answered.in_reply_to, answered.references)
    message_id = new_message_id(values["id"], address)
    email = Email(
        **{
            "direction": EmailDirection.OUTGOING,
            "mailboxes": [],
            "automatic": Automatic.NO,
            "delivery": Delivery.NONE,
            "undelivered": [],
            "attempts": 0,
            "decode_warnings": [],
            **values,
            "message_id": message_id,
            "in_reply_to": answered.message_id if answered is not None else None,
            "references": references,
            "thread_id": await join_thread(uow, chain(references, message_id)),
            "preview": body.preview,
            "body_digest": body.digest,
        }
    )
    if body.digest is not None:
        await keep_body(uow, email.id, body)
    return uow.add(email, EmailCreated)


async def update_email(uow: UnitOfWork, email_id: UUID, body: EmailUpdate) -> Email:
    """Change fields of a draft, or of a mail that failed. A patch that changes no value does nothing."""
    email = await uow.get(Email, email_id, Privilege.WRITE)
    values = await changes_of(uow, email, body)
    if "sender" in values:
        senders_of(uow.runtime).require(values["sender"])
    if "parties" in values:
        values["parties"] = await parties_of(uow, body.parties, email.parties)
    written: dict[str, str | None] = {name: values.pop(name) for name in ("html", "text") if name in values}
    apply(email, values)
    if written:
        await _rewrite(uow, email, written)
    return uow.emit_if_changed(email, EmailUpdated)


async def _rewrite(uow: UnitOfWork, email: Email, written: dict[str, str | None]) -> None:
    """Set the parts of the body that were sent. New HTML without a text makes its text anew."""
    before = await read_body(uow, email.id)
    if "html" in written:
        after = body_of(written["html"], written.get("text") or (None if written["html"] else before.text))
    else:
        after = body_of(before.html, written["text"])
    if after.digest != before.digest:
        await keep_body(uow, email.id, after)
        email.preview, email.body_digest = after.preview, after.digest


async def send_email(uow: UnitOfWork, email_id: UUID, body: EmailSend) -> Email:
    """Queue the mail. The worker sends it."""
    email = await uow.get(Email, email_id, Privilege.WRITE)
    email.require("send")
    require_confirmation(uncertain=email.delivery == Delivery.UNCERTAIN, confirmed=body.confirm)
    recipients = require_recipient(email.parties)
    senders_of(uow.runtime).require(email.sender)
    await require_sendable(uow, email.id)
    return await queue(uow, email, recipients)


async def queue(uow: UnitOfWork, email: Email, recipients: list[str]) -> Email:
    """Queue a checked mail."""
    email.queue(uow.now)
    await queue_mail(uow, email.id, recipients)
    return uow.emit(email, EmailQueued)


async def complete_email(uow: UnitOfWork, email_id: UUID, body: EmailComplete) -> Email:
    """Log the mail as sent or received elsewhere."""
    email = await uow.get(Email, email_id, Privilege.WRITE)
    email.complete(body.reason, uow.now)
    return uow.emit(email, EmailCompleted, reason=email.status_reason, completed_at=uow.now)


async def cancel_email(uow: UnitOfWork, email_id: UUID) -> Email:
    """Cancel the mail."""
    email = await uow.get(Email, email_id, Privilege.WRITE)
    email.cancel()
    return uow.emit(email, EmailCanceled)


async def reopen_email(uow: UnitOfWork, email_id: UUID) -> Email:
    """Make a canceled mail, or one that was logged, a draft again."""
    return reopen(uow, await uow.get(Email, email_id, Privilege.WRITE), EmailReopened)


async def reschedule_email(uow: UnitOfWork, email_id: UUID, body: Reschedule) -> Email:
    """Change when the mail is due. The same time again does nothing."""
    return reschedule(uow, await uow.get(Email, email_id, Privilege.WRITE), body, EmailRescheduled)


async def snooze_email(uow: UnitOfWork, email_id: UUID, body: Snooze) -> Email:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(Email, email_id, Privilege.WRITE), body, EmailUpdated)


async def assign_email(uow: UnitOfWork, email_id: UUID, body: Assignment) -> Email:
    """Assign the mail to another owner."""
    email = await uow.get(Email, email_id, Privilege.ASSIGN)
    await assign(uow, email, body, EmailAssigned)
    return email


async def delete_email(uow: UnitOfWork, email_id: UUID) -> None:
    """Delete a mail of any status, with its body and what it was read from. One that waits to be sent is not sent."""
    uow.remove(await uow.get(Email, email_id, Privilege.DELETE), EmailDeleted)
    await erase_sources(await uow.connection(), email_id)
