"""Payment terms as data, the discount for early payment, and tax rates with three decimals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    for table in ("quote", "order", "invoice"):
        op.add_column(table, sa.Column("payment_conditions", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("invoice", sa.Column("early_discount_until", sa.Date(), nullable=True))
    for amount in ("early_discount", "early_discount_base", "early_discount_taken", "early_discount_taken_base"):
        op.add_column("invoice", sa.Column(f"{amount}_amount", sa.Numeric(precision=20, scale=4), nullable=True))
        op.add_column("invoice", sa.Column(f"{amount}_currency", sa.String(length=3), nullable=True))
    op.alter_column("product", "tax_percent", type_=sa.Numeric(precision=6, scale=3))
