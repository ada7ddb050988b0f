"""Where tax is rounded, and whether the discount on the subtotal lowers it: a setting that documents keep."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    for table in ("sales_settings", "quote", "order", "invoice"):
        rounding = _enum("taxrounding", "line", "document")
        op.add_column(table, sa.Column("tax_rounding", rounding, server_default="line", nullable=False))
        discount = _enum("headerdiscount", "before_tax", "after_tax")
        op.add_column(table, sa.Column("header_discount", discount, server_default="after_tax", nullable=False))


def _enum(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)
