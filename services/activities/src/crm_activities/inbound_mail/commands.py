"""Commands of operators on incoming mails."""

from uuid import UUID

from sqlalchemy import select

from crm_activities.inbound_mail.model import InboundMail, InboundSource
from crm_contracts.access import Privilege
from crm_contracts.activities.inbound_mail import InboundMailIgnored, InboundMailReplayed
from crm_kit.events import timers
from crm_kit.work.uow import UnitOfWork


async def replay_mail(uow: UnitOfWork, mail_id: UUID) -> InboundMail:
    """Have the mail read again, from its bytes. An e-mail that it became stays, and is not doubled."""
    mail = await uow.get(InboundMail, mail_id, Privilege.WRITE)
    mail.replay()
    uow.wakes(timers.CHANNEL)
    return uow.emit(mail, InboundMailReplayed)


async def ignore_mail(uow: UnitOfWork, mail_id: UUID) -> InboundMail:
    """Leave the mail alone. Its bytes are kept."""
    mail = await uow.get(InboundMail, mail_id, Privilege.WRITE)
    mail.ignore()
    return uow.emit(mail, InboundMailIgnored)


async def source_of(uow: UnitOfWork, mail_id: UUID) -> bytes:
    """Return the bytes of the mail as it arrived."""
    mail = await uow.read(InboundMail, mail_id)
    found = await uow.execute(select(InboundSource.content).where(InboundSource.id == mail.source))
    content: bytes = found.scalar_one()
    return content
