"""Compares two sets of rows in two databases. Ranges of ids with equal digests are not compared row by row."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.reconciling.parties import SMALLEST

GREATEST: Final = UUID(int=2**128 - 1)
ROWS: Final = 10_000
"""The number of the publisher's rows in a range. The follower's rows of a range are read in pages of this size."""

Range = tuple[UUID, UUID]


async def ranges(conn: AsyncConnection, ordered: str, parameters: Sequence[object] = ()) -> AsyncIterator[Range]:
    """Yield ranges of ids that together contain all possible ids. A range excludes its first id and includes its last one.

    ``ordered`` selects the ids above ``$1`` in order. Further parameters follow.
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
    """Return the number of rows of a query of (id, number), and the sum of their hashes. For equal sets both are equal."""
    summed = f"select count(*), coalesce(sum(uuid_hash_extended(id, number)), 0)::text from ({rows}) rows"
    row: Any = (await conn.exec_driver_sql(summed, tuple(parameters))).one()
    return row[0], int(row[1])
