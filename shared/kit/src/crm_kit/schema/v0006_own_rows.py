"""Adds epochs to the rows of projections, so that epoch and version of a row show which event made it."""

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import Ahead, NewColumn, columns_of
from crm_kit.schema.patience import patiently

AT_ONCE: Final = 5000
"""The number of rows of one transaction that sets epochs before the migration."""

_EPOCHS = """
insert into inbox_epoch (consumer, source, epoch)
select consumer, source, max(epoch) from inbox_position where epoch > 0 group by consumer, source
"""
_RESTORED = "select exists (select from inbox_position where consumer = $1 and epoch > 0)"
# Rows are locked in the order of their ids, as projections lock them.
_STAMP = """
with page as (select id from {0} where id > $2 order by id limit {1} for no key update),
stamped as (update {0} t set epoch = p.epoch from page, inbox_position p
  where t.id = page.id and p.consumer = $1 and p.entity = t.id and p.epoch > t.epoch and p.version >= t.version)
select id from page order by id desc limit 1
"""
_STAMP_REST = """
update {0} t set epoch = p.epoch from inbox_position p
where p.consumer = '{1}' and p.entity = t.id and p.epoch > t.epoch and p.version >= t.version
"""
_SMALLEST = "00000000-0000-0000-0000-000000000000"


def _epoch_of(table: str) -> NewColumn:
    return NewColumn(table, "epoch", "integer default 0 not null", "of its publisher's database")


def ahead(copies: Mapping[str, str]) -> Ahead:
    """Return the function that adds the column to these tables of copies, by handler group, and sets the epochs of their rows.

    Each table has a transaction of its own for the column, and one for each batch of rows.
    """

    async def stamp(conn: AsyncConnection) -> None:
        knows_epochs = "epoch" in await columns_of(conn, "inbox_position")
        for group, table in copies.items():
            await _epoch_of(table).make(conn)
            is_there = knows_epochs and bool(await columns_of(conn, table))
            if not is_there or not (await conn.exec_driver_sql(_RESTORED, (group,))).scalar_one():
                continue
            after: object = _SMALLEST
            while after is not None:
                after = await patiently(conn, _STAMP.format(table, AT_ONCE), parameters=(group, after))

    return stamp


def upgrade(copies: Mapping[str, str]) -> None:
    """Change the inbox and these tables of copies, by handler group. Call it in a revision.

    The previous release does not write epochs, so its rows have the first one. This step sets the later epochs that it has stored
    with positions. ``ahead`` has done most of that, and this step does the rows that changed meanwhile.
    """
    op.create_table(
        "inbox_epoch",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="the highest that the group has heard of, above 0"),
        sa.PrimaryKeyConstraint("consumer", "source", name=op.f("pk_inbox_epoch")),
    )
    op.execute(_EPOCHS)
    connection = op.get_bind()
    restored = set(connection.exec_driver_sql("select consumer from inbox_epoch").scalars())
    for group, table in copies.items():
        _epoch_of(table).within()
        if group in restored:
            op.execute(_STAMP_REST.format(table, group))
