"""List prices and costs of products with more decimals than their currency."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    for name in ("exact_list_price", "exact_standard_cost"):
        column = sa.Column(name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
        op.add_column("product", column)
