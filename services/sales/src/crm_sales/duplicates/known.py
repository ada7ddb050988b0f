"""Find the likeliest existing records for one record, within the time of a request even for common names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.sentences import said
from crm_sales.duplicates.finding import Match, Target, Wanted, find

SHOWN: Final = 20
COMPARED: Final = 1000
"""Number of records with a similar name that are compared, for each kind. Tens of thousands can share a name, and
comparing all of them would take longer than a request may."""
TOO_COMMON: Final = said("So many records have a name like this that they cannot be compared within a request")


@dataclass(frozen=True, slots=True)
class Known:
    """The likeliest records, and whether there are more."""

    matches: Sequence[Match]
    more: bool


async def look_for(conn: AsyncConnection, searches: Sequence[tuple[Target, Sequence[Wanted]]]) -> Known:
    """Find the likeliest records of all targets in one statement."""
    found = await find(conn, searches, limit=SHOWN + 1, candidates=COMPARED)
    return Known(found[:SHOWN], len(found) > SHOWN)
