"""Where the bytes of files are: one interface over a folder and over stores that speak S3.

Keys are made of ids, never of names that people send. A stored object never changes: it is written once, read and deleted.
"""

from collections.abc import AsyncIterator
from typing import Final, Protocol
from uuid import UUID

PIECE: Final = 1024 * 1024
"""Bytes that are read or written at a time."""


class Missing(Exception):
    """The storage has no object under this key."""


class Storage(Protocol):
    """Stores streams of bytes under keys."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream. The object is there as a whole and durable when this returns, and not at all when this raises."""

    def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return the bytes from ``start`` up to, and without, ``end``. Raises Missing."""

    async def delete(self, key: str) -> None:
        """Delete an object, and what an interrupted ``put`` left of it. It is no error if there is none."""

    async def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""


def key_of(file_id: UUID) -> str:
    """Return the key of a file. The last digits of an id are random, so that the folders fill evenly."""
    return f"{file_id.hex[-2:]}/{file_id.hex}"
