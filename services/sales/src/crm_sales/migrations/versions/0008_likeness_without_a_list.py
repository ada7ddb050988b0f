"""Likeness without a list of what is yet to be indexed."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for index in ("ix_account_likeness", "ix_contact_likeness"):
        op.execute(f"alter index {index} set (fastupdate = off)")
        # What stands in the list already stays there until somebody clears it.
        op.execute(f"select gin_clean_pending_list('{index}')")
