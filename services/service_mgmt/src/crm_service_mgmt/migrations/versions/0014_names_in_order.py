"""Texts that people read are sorted as they expect."""

from typing import Final

from crm_kit.schema import v0012_names_in_order
from crm_kit.schema.v0012_names_in_order import in_order
from crm_kit.store.searching import Searched

revision = "0014"
down_revision = "0013"

TABLES: Final = {
    "customer_ref": Searched(("name",)),
    "case": Searched(("title", "number")),
}
INDEXES: Final = (
    *in_order("customer_ref", "name"),
    *in_order("case", "title"),
)

ahead = v0012_names_in_order.ahead(TABLES, INDEXES)


def upgrade() -> None:
    v0012_names_in_order.upgrade(TABLES, INDEXES)
