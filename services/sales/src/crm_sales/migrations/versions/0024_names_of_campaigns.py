"""The numbers and names of campaigns, by which imports refer to them."""

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import NewColumn, NewIndex

revision = "0024"
down_revision = "0023"

CHANGES = (
    NewColumn("campaign_ref", "number", "text"),
    NewColumn("campaign_ref", "name", "text"),
    NewIndex("ix_campaign_ref_number", "campaign_ref", ("number",)),
    NewIndex("ix_campaign_ref_name", "campaign_ref", ("name",)),
)


async def ahead(conn: AsyncConnection) -> None:
    for change in CHANGES:
        await change.make(conn)


def upgrade() -> None:
    for change in CHANGES:
        change.within()
