"""Orders of sales contracts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column(
        "sales_contract", sa.Column("order_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False)
    )
    op.create_index(
        "ix_sales_contract_order_ids", "sales_contract", ["order_ids"], unique=False, postgresql_using="gin"
    )
