"""Two sets of rows in two databases, side by side: ranges of ids whose digests are equal are not looked at row by row."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.reconciling.parties import SMALLEST

GREATEST: Final = UUID(int=2**128 - 1)
ROWS: Final = 10_000
"""Of the publisher in one range; what others have in it is read in pages of as many."""

Range = tuple[UUID, UUID]


async def ranges(conn: AsyncConnection, ordered: str, parameters: Sequence[object] = ()) -> AsyncIterator[Range]:
    """Ranges of ids, each above its first and up to its last one, that together are all there can be.

    ``ordered`` selects, in order, the ids above ``$1``; further parameters follow.
    """
    low = SMALLEST
    while True:
        found = await conn.exec_driver_sql(f"{ordered} offset {ROWS - 1} limit 1", (low, *parameters))
        high: UUID | None = found.scalar_one_or_none()
        yield low, high or GREATEST
        if high is None:
            return
        low = high


async def digest(conn: AsyncConnection, rows: str, parameters: Sequence[object]) -> tuple[int, int]:
    """How many rows a query of (id, number) gives, and the sum of their hashes: of equal sets both are equal."""
    summed = f"select count(*), coalesce(sum(uuid_hash_extended(id, number)), 0)::text from ({rows}) rows"
    row: Any = (await conn.exec_driver_sql(summed, tuple(parameters))).one()
    return row[0], int(row[1])
