"""Sessions of browsers."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "browser_session",
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("fresh_until", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("began_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("expires_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_browser_session")),
    )
    op.create_index(op.f("ix_browser_session_expires_at"), "browser_session", ["expires_at"], unique=False)
