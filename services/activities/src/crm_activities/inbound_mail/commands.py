"""Commands of operators on incoming mails."""

from uuid import UUID

from sqlalchemy import select

from crm_activities.inbound_mail.model import InboundMail, InboundSource
from crm_contracts.access import Privilege
from crm_contracts.activities.inbound_mail import InboundMailIgnored, InboundMailReplayed
from crm_kit.errors import DomainError
from crm_kit.events import timers
from crm_kit.work.uow import UnitOfWork


class SourceDeleted(DomainError):
    """409: the bytes of the mail are kept no longer."""

    def __init__(self) -> None:
        super().__init__(
            "source-deleted",
            "The mail as it arrived is no longer kept: its e-mail was deleted, or CRM_MAIL_SOURCE_DAYS have passed.",
        )


async def replay_mail(uow: UnitOfWork, mail_id: UUID) -> InboundMail:
    """Have the mail read again, from its bytes. An e-mail that it became stays, and is not doubled.

    409 ``source-deleted`` if the bytes are kept no longer.
    """
    mail = await uow.get(InboundMail, mail_id, Privilege.WRITE)
    mail.replay()
    held = select(InboundSource.id).where(InboundSource.id == mail.source).with_for_update(read=True)
    if (await uow.execute(held)).one_or_none() is None:
        raise SourceDeleted
    uow.wakes(timers.CHANNEL)
    return uow.emit(mail, InboundMailReplayed)


async def ignore_mail(uow: UnitOfWork, mail_id: UUID) -> InboundMail:
    """Leave the mail alone. Its bytes are kept."""
    mail = await uow.get(InboundMail, mail_id, Privilege.WRITE)
    mail.ignore()
    return uow.emit(mail, InboundMailIgnored)


async def source_of(uow: UnitOfWork, mail_id: UUID) -> bytes:
    """Return the bytes of the mail as it arrived. 409 ``source-deleted`` if they are kept no longer."""
    mail = await uow.read(InboundMail, mail_id)
    found = await uow.execute(select(InboundSource.content).where(InboundSource.id == mail.source))
    content: bytes | None = found.scalar_one_or_none()
    if content is None:
        raise SourceDeleted
    return content
