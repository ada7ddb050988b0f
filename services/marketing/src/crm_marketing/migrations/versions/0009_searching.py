"""Search columns with folded text."""

from typing import Final

from crm_kit.schema import v0010_searching
from crm_kit.store.searching import Searched

revision = "0009"
down_revision = "0008"

TABLES: Final = {
    "campaign": Searched(("name", "code", "number")),
}

ahead = v0010_searching.ahead(TABLES)


def upgrade() -> None:
    v0010_searching.upgrade(TABLES)
