"""Where tax is rounded, and whether the discount on the subtotal lowers it: a setting that documents keep."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import NewCheck, NewColumn

revision = "0030"
down_revision = "0029"

TABLES: Final = ("sales_settings", "quote", "order", "invoice")
STEPS: Final = tuple(
    step
    for table in TABLES
    for step in (
        NewColumn(table, "tax_rounding", "varchar(40) default 'line' not null"),
        NewCheck(f"ck_{table}_taxrounding", table, ("tax_rounding",), "tax_rounding in ('line', 'document')"),
        NewColumn(table, "header_discount", "varchar(40) default 'after_tax' not null"),
        NewCheck(
            f"ck_{table}_headerdiscount", table, ("header_discount",), "header_discount in ('before_tax', 'after_tax')"
        ),
    )
)


async def ahead(conn: AsyncConnection) -> None:
    """Add the columns, and check their values without holding up writers: documents are many."""
    for step in STEPS:
        await step.make(conn)


def upgrade() -> None:
    for step in STEPS:
        step.within()
