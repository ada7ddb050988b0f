"""Files in a bucket of any store that speaks S3."""

import os
from collections.abc import AsyncIterator
from typing import Final

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import S3Store

from crm_activities.files.storage import PIECE, Missing

PART: Final = 8 * 1024**2
"""Bytes of a part of an upload. A store takes 10,000 parts at most."""
PARTS_AT_ONCE: Final = 2


class Bucket:
    """A bucket, by its URL and the AWS_ variables of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_REGION, AWS_ENDPOINT_URL."""

    def __init__(self, url: str) -> None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        self._store = S3Store.from_url(url, client_options={"allow_http": endpoint.startswith("http://")})

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream, in parts if it is large. A store shows the object only when it is complete."""
        await obstore.put_async(self._store, key, chunks, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return some of the bytes."""
        if start >= end:
            if not await self.exists(key):
                raise Missing(key)
            return
        try:
            answer = await obstore.get_async(self._store, key, options={"range": (start, end)})
        except (NotFoundError, FileNotFoundError):
            raise Missing(key) from None
        async for piece in answer.stream(min_chunk_size=PIECE):
            yield bytes(piece)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        try:
            await obstore.delete_async(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return

    async def exists(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            await obstore.head_async(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        return True
