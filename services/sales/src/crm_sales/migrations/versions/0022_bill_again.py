"""Whether an order can be billed again over what a credit note credits."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("invoice", sa.Column("bill_again", sa.Boolean(), server_default="false", nullable=False))
