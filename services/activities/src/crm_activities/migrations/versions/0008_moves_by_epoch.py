"""Moves have the epoch of their merge, and a timeline finds its newest version by an index."""

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema import v0007_moves_by_epoch
from crm_kit.schema.ahead import NewIndex

revision = "0008"
down_revision = "0007"

NEWEST = NewIndex("ix_timeline_event_record_id_version", "timeline_event", ("record_id", "version"))


async def ahead(conn: AsyncConnection) -> None:
    await v0007_moves_by_epoch.ahead(conn)
    await NEWEST.make(conn)


def upgrade() -> None:
    v0007_moves_by_epoch.upgrade()
    NEWEST.within()
