"""Indexes for duplicates without a pending list."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for index in ("ix_account_likeness", "ix_contact_likeness"):
        op.execute(f"alter index {index} set (fastupdate = off)")
        # Entries in the pending list stay there until it is cleared.
        op.execute(f"select gin_clean_pending_list('{index}')")
