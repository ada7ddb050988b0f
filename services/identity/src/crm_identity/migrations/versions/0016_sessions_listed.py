"""Sessions say when they began, from where they were used last and by which program."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns
from crm_kit.schema.ahead import NewIndex

LIVE = NewIndex(
    "ix_refresh_token_live", "refresh_token", ("user_id", "family_id"), "spent_at is null and revoked_at is null"
)

revision = "0016"
down_revision = "0015"
ahead = LIVE.make


def upgrade() -> None:
    op.add_column("refresh_token", sa.Column("began_at", crm_kit.store.columns.Timestamp(), nullable=True))
    op.add_column("refresh_token", sa.Column("address", sa.String(length=45), nullable=True))
    op.add_column("refresh_token", sa.Column("user_agent", sa.String(length=256), nullable=True))
    LIVE.within()
