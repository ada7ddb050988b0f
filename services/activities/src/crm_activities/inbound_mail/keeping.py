"""How long the bytes of incoming mails are kept.

They hold all that people wrote, so they go with the e-mail that was made of them, and after some time in any case. Those of a
mail that was not read yet, or that could not be read, stay: nothing else has what it says.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.inbound_mail.settings import InboundSettings
from crm_kit.store.chores import delete_some

NOT_NEEDED: Final = (
    "id < $1 and not exists (select from inbound_mail m where m.source = inbound_source.id"
    " and m.status in ('pending', 'unreadable'))"
)
"""Sources that are older than an id, and that no mail needs."""

OF_EMAIL: Final = (
    "delete from inbound_source where id in"
    " (select source from inbound_mail where email_id = $1 union all select source from inbound_mail where about_id = $1)"
)


async def forget_sources(conn: AsyncConnection, settings: InboundSettings, now: datetime) -> int:
    """Delete a batch of bytes that are no longer kept. Return the number deleted."""
    if not settings.source_days:
        return 0
    return await delete_some(conn, "inbound_source", NOT_NEEDED, first_id(now - timedelta(days=settings.source_days)))


async def erase_sources(conn: AsyncConnection, email_id: UUID) -> None:
    """Delete the bytes of an e-mail that is deleted, in all mailboxes, and those of reports about it, which quote it."""
    await conn.exec_driver_sql(OF_EMAIL, (email_id,))


def first_id(at: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment (RFC 9562 §5.7)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
