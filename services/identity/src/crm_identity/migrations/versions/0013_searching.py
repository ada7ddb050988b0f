"""Search columns with folded text."""

from typing import Final

from crm_kit.schema import v0010_searching
from crm_kit.store.searching import Searched

revision = "0013"
down_revision = "0012"

TABLES: Final = {
    "team": Searched(("name",)),
    "user_account": Searched(("name", "email")),
}

ahead = v0010_searching.ahead(TABLES)


def upgrade() -> None:
    v0010_searching.upgrade(TABLES)
