"""Readable numbers (LEA-00042): unique, never reused, gaps allowed. They are drawn in blocks, so that most need no statement."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import MetaData, Sequence
from sqlalchemy.ext.asyncio import AsyncConnection

BLOCK = 200


def number_sequences(metadata: MetaData, prefixes: Iterable[str]) -> None:
    """One sequence for each prefix; a value stands for a block of numbers."""
    for prefix in prefixes:
        Sequence(f"number_{prefix.lower()}", metadata=metadata)


class Numbers:
    """The blocks that this process has drawn."""

    def __init__(self) -> None:
        self._ready: dict[str, list[int]] = defaultdict(list)
        self._drawing: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def next(self, prefix: str, conn: AsyncConnection) -> str:
        """The next number of a prefix; one statement in ``BLOCK`` calls."""
        if not self._ready[prefix]:
            async with self._drawing[prefix]:
                if not self._ready[prefix]:
                    await self._draw(prefix, conn)
        return f"{prefix}-{self._ready[prefix].pop():05d}"

    async def _draw(self, prefix: str, conn: AsyncConnection) -> None:
        block = (await conn.exec_driver_sql(f"select nextval('number_{prefix.lower()}')")).scalar_one()
        first = (block - 1) * BLOCK + 1
        self._ready[prefix] = list(range(first + BLOCK - 1, first - 1, -1))
