"""An index of the time at which a deal was opened, for the filter of the list."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import NewIndex

revision = "0029"
down_revision = "0028"

INDEX: Final = NewIndex(
    "ix_opportunity_opened_at_id", "opportunity", ("opened_at",), definition="(opened_at nulls first, id)"
)


async def ahead(conn: AsyncConnection) -> None:
    """Create the index."""
    await INDEX.make(conn)


def upgrade() -> None:
    INDEX.within()
