"""Access changes with identity's own counter, by which tokens and revocations are compared."""

import sqlalchemy as sa
from alembic import op

from crm_kit.schema import v0003_revocations_in_order

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    v0003_revocations_in_order.upgrade()
    op.add_column("access_change", sa.Column("sequence", sa.BigInteger(), nullable=True))
    op.create_table(
        "access_sequence",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_sequence")),
    )
