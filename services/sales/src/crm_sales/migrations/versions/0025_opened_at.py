"""When a deal was opened.

It is filled from the stays in stages: a reopened deal enters its stage again some time after it left it, and every other deal
was opened when it entered its first stage.
"""

from typing import Final

from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import NewColumn, columns_of
from crm_kit.schema.patience import patiently

revision = "0025"
down_revision = "0024"

COLUMN: Final = NewColumn("opportunity", "opened_at", "timestamp with time zone")
_OPENED: Final = """
coalesce(
    (
        select max(entered_at) from (
            select (visit ->> 'entered_at')::timestamptz as entered_at,
                lag((visit ->> 'left_at')::timestamptz) over (order by n) as left_before
            from jsonb_array_elements(o.stages) with ordinality as stays (visit, n)
        ) stays
        where left_before < entered_at and jsonb_array_length(o.closes) > 0
    ),
    (o.stages -> 0 ->> 'entered_at')::timestamptz,
    o.created_at
)
"""
_FILL: Final = f"""
with batch as (select id from public.opportunity where id > $1::uuid order by id limit 5000),
    filled as (
        update public.opportunity o set opened_at = {_OPENED} from batch where o.id = batch.id and o.opened_at is distinct from {_OPENED}
    )
select id from batch order by id desc limit 1
"""  # noqa: S608  # constants of this file
_FILL_REST: Final = f"""
update public.opportunity o set opened_at = {_OPENED}
where o.opened_at is null
"""  # noqa: S608  # constants of this file
_SMALLEST: Final = "00000000-0000-0000-0000-000000000000"


async def ahead(conn: AsyncConnection) -> None:
    """Add the column and fill it, some thousand rows at a time."""
    await COLUMN.make(conn)
    if not await columns_of(conn, "opportunity"):
        return
    after: object = _SMALLEST
    while after is not None:
        after = await patiently(conn, _FILL, parameters=(after,))


def upgrade() -> None:
    """Add the column, and fill what the release before has written since."""
    COLUMN.within()
    op.execute(_FILL_REST)
