"""Projections whose own rows say how far they are: by their epoch beside their version."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

_EPOCHS = """
insert into inbox_epoch (consumer, source, epoch)
select consumer, source, max(epoch) from inbox_position where epoch > 0 group by consumer, source
"""
_STAMP = """
update {0} t set epoch = p.epoch from inbox_position p
where p.consumer = '{1}' and p.entity = t.id and p.epoch > 0 and p.version >= t.version
"""


def upgrade(copies: Mapping[str, str]) -> None:
    """Add to the inbox and to these tables of copies, by handler group, inside the revision that calls this.

    The release before writes no epoch: its rows are of the first one, and what it had heard of later ones is taken over here.
    """
    op.create_table(
        "inbox_epoch",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="the highest that the group has heard of, above 0"),
        sa.PrimaryKeyConstraint("consumer", "source", name=op.f("pk_inbox_epoch")),
    )
    op.execute(_EPOCHS)
    restored = op.get_bind().exec_driver_sql("select exists (select from inbox_epoch)").scalar_one()
    for group, table in copies.items():
        column = sa.Column(
            "epoch", sa.Integer(), server_default="0", nullable=False, comment="of its publisher's database"
        )
        op.add_column(table, column)
        if restored:
            op.execute(_STAMP.format(table, group))
