"""Indexes for duplicates."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table in ("account", "contact", "lead"):
        op.create_index(
            f"ix_{table}_email_folded",
            table,
            [sa.literal_column("lower(email)")],
            unique=False,
            postgresql_where=sa.text("email is not null"),
        )
    for column in ("phone", "mobile_phone"):
        op.create_index(
            f"ix_lead_{column}", "lead", [column], unique=False, postgresql_where=sa.text(f"{column} is not null")
        )
