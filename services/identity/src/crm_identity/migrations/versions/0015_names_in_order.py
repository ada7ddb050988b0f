"""Texts that people read are sorted as they expect."""

from typing import Final

from crm_kit.schema import v0012_names_in_order
from crm_kit.schema.v0012_names_in_order import in_order
from crm_kit.store.searching import Searched

revision = "0015"
down_revision = "0014"

TABLES: Final = {
    "team": Searched(("name",)),
    "user_account": Searched(("name", "email")),
}
INDEXES: Final = (
    *in_order("user_account", "name"),
    *in_order("team", "name"),
    *in_order("api_client", "name"),
    *in_order("business_unit", "name"),
    *in_order("security_role", "name"),
)

ahead = v0012_names_in_order.ahead(TABLES, INDEXES)


def upgrade() -> None:
    v0012_names_in_order.upgrade(TABLES, INDEXES)
