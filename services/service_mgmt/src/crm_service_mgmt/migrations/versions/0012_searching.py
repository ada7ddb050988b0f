"""Search columns with folded text."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema import v0010_searching
from crm_kit.schema.ahead import NewIndex
from crm_kit.store.searching import Searched

revision = "0012"
down_revision = "0011"

TABLES: Final = {
    "customer_ref": Searched(("name",)),
    "case": Searched(("title", "number")),
}
CUSTOMERS: Final = NewIndex(
    "ix_customer_ref_search_text", "customer_ref", ("search_text",), definition="using gin (search_text gin_trgm_ops)"
)


async def ahead(conn: AsyncConnection) -> None:
    """Do the rows again, and make the index."""
    await v0010_searching.ahead(TABLES)(conn)
    await CUSTOMERS.make(conn)


def upgrade() -> None:
    v0010_searching.upgrade(TABLES)
    CUSTOMERS.within()
