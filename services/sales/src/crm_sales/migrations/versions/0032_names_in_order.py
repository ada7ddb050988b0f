"""Texts that people read are sorted as they expect."""

from typing import Final

from crm_kit.schema import v0012_names_in_order
from crm_kit.schema.v0012_names_in_order import in_order
from crm_kit.store.searching import Fill, Searched

revision = "0032"
down_revision = "0031"

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
INDEXES: Final = (
    *in_order("account", "name"),
    *in_order("contact", "full_name", "last_name", "first_name"),
    *in_order("lead", "last_name", "company_name"),
    *in_order("opportunity", "name", "stage"),
    *in_order("product", "name", "number"),
    *in_order("sales_literature", "title"),
    *in_order("competitor", "name"),
    *in_order("goal", "name"),
    *in_order("price_list", "name"),
    *in_order("quote", "name"),
    *in_order("order", "name"),
    *in_order("invoice", "name"),
    *in_order("sales_contract", "name"),
)

ahead = v0012_names_in_order.ahead(TABLES, INDEXES, folding=("ix_contact_namesake", "ix_account_namesake"))


def upgrade() -> None:
    v0012_names_in_order.upgrade(TABLES, INDEXES)
