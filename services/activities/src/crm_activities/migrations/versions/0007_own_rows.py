"""Projections whose own rows store the handled version."""

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema import v0006_own_rows
from crm_kit.schema.ahead import NewColumn

revision = "0007"
down_revision = "0006"

COPIES = {"activities.refs": "record_ref"}
VERSION = NewColumn("timeline_event", "version", "integer default 0 not null")


async def ahead(conn: AsyncConnection) -> None:
    await v0006_own_rows.ahead(COPIES)(conn)
    await VERSION.make(conn)


def upgrade() -> None:
    v0006_own_rows.upgrade(COPIES)
    VERSION.within()
