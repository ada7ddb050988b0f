"""Adds to the moves after a merge the epoch in which the merge was announced."""

from alembic import op

from crm_kit.schema.ahead import NewColumn

EPOCH = NewColumn(
    "move_task", "epoch", "integer default 0 not null", "of its publisher's database, when it told of the merge"
)
ahead = EPOCH.make

# The epoch of an earlier merge is unknown. With the highest epoch, it does not count as lost.
_STAMP = "update move_task set epoch = (select coalesce(max(epoch), 0) from inbox_epoch)"


def upgrade() -> None:
    """Change the table of moves. Call it in a revision."""
    EPOCH.within()
    op.execute(_STAMP)
