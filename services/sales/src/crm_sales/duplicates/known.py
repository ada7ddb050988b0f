"""Who somebody may be already: the likeliest few, within the time of a request, however common a name is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_sales.duplicates.finding import Match, Target, Wanted, find

SHOWN: Final = 20
COMPARED: Final = 1000
"""Records of a similar name that are compared, of each kind: tens of thousands may be called alike, and comparing them all
takes longer than a request may."""
TOO_COMMON: Final = "So many records have a name like this that they cannot be compared within a request"


@dataclass(frozen=True, slots=True)
class Known:
    """The likeliest, and whether there are more of them."""

    matches: Sequence[Match]
    more: bool


async def look_for(conn: AsyncConnection, searches: Sequence[tuple[Target, Sequence[Wanted]]]) -> Known:
    """The likeliest of each target together: one statement."""
    found = await find(conn, searches, limit=SHOWN + 1, candidates=COMPARED)
    return Known(found[:SHOWN], len(found) > SHOWN)
