"""Search columns with folded text."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema import v0010_searching
from crm_kit.schema.ahead import NewIndex
from crm_kit.store.searching import Fill, Searched

revision = "0027"
down_revision = "0026"

PARTIES_AND_GOODS: Final = {
    "account": Searched(("name", "number", "email", "phone")),
    "competitor": Searched(("name", "website")),
    "goal": Searched(("name",)),
    "price_list": Searched(("name",)),
    "product": Searched(("name", "number")),
    "sales_literature": Searched(("title", "keywords")),
    "contact": Searched(("full_name", "email", "phone", "mobile_phone", "number"), person=("last_name", "first_name")),
    "lead": Searched(
        ("topic", "first_name", "last_name", "company_name", "email", "phone", "mobile_phone", "number"),
        person=("last_name", "first_name"),
        fills=(
            Fill(
                column="rating_rank",
                definition="smallint",
                value="case new.rating when 'cold' then 1 when 'warm' then 2 when 'hot' then 3 end",
            ),
        ),
    ),
}
DOCUMENTS: Final = {
    "sales_contract": Searched(("name", "number")),
    "opportunity": Searched(("name", "number")),
    "quote": Searched(("name", "number")),
    "order": Searched(("name", "number")),
    "invoice": Searched(("name", "number")),
}

TABLES: Final = {**PARTIES_AND_GOODS, **DOCUMENTS}
NAMESAKES: Final = "using gin ({} gin_trgm_ops) with (fastupdate = off)"
INDEXES: Final = (
    NewIndex("ix_lead_rating_rank_id", "lead", ("rating_rank",), definition="(rating_rank nulls first, id)"),
    NewIndex(
        "ix_contact_namesake", "contact", ("full_name",), definition=NAMESAKES.format("public.crm_folded(full_name)")
    ),
    NewIndex("ix_account_namesake", "account", ("name",), definition=NAMESAKES.format("public.crm_company(name)")),
)
# ix_lead_rating_id, ix_contact_likeness and ix_account_likeness stay for the previous release, which may run on this schema. The
# next release drops them.


async def ahead(conn: AsyncConnection) -> None:
    """Do the rows again, and make the indexes."""
    await v0010_searching.ahead(TABLES)(conn)
    for index in INDEXES:
        await index.make(conn)


def upgrade() -> None:
    v0010_searching.upgrade(TABLES)
    for index in INDEXES:
        index.within()
