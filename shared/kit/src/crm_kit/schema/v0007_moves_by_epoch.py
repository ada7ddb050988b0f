"""What moves after a merge knows the epoch in which the merge was told."""

from alembic import op

from crm_kit.schema.ahead import NewColumn

EPOCH = NewColumn(
    "move_task", "epoch", "integer default 0 not null", "of its publisher's database, when it told of the merge"
)
ahead = EPOCH.make

# In which epoch a merge of before was told, nobody knows: as it is, it is not taken for one that was lost.
_STAMP = "update move_task set epoch = (select coalesce(max(epoch), 0) from inbox_epoch)"


def upgrade() -> None:
    """Add to the table of moves, inside the revision that calls this."""
    EPOCH.within()
    op.execute(_STAMP)
