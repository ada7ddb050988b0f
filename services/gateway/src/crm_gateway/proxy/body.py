"""The body of a request on its way through: small ones are held (and can be sent again), larger ones are streamed."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from starlette.types import Receive

from crm_kit.errors import DomainError

HELD_BYTES: Final = 64 * 1024


class CallerGone(Exception):
    """The caller closed the connection; there is nobody to answer."""


class Upload:
    """A body larger than what is held, passed on as it arrives and counted.

    ``failure`` says why passing on ended early: the HTTP client wraps what is raised here in an error of its own.
    """

    def __init__(
        self,
        head: bytes,
        receive: Receive,
        limit: int | None,
        progress: Callable[[], None],
        received: Callable[[], None],
    ) -> None:
        self.failure: DomainError | CallerGone | None = None
        self._head, self._receive, self._limit = head, receive, limit
        self._progress, self._received = progress, received

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = len(self._head)
        yield self._head
        while True:
            message = await self._receive()
            self._progress()
            if message["type"] == "http.disconnect":
                self.failure = CallerGone()
                raise self.failure
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if self._limit is not None and size > self._limit:
                self.failure = too_large(self._limit)
                raise self.failure
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                self._received()
                return


def too_large(limit: int) -> DomainError:
    """413 naming the limit."""
    return DomainError("body-too-large", f"The body is larger than {limit} bytes.", members={"limit": limit})


def declared_length(headers: Mapping[bytes, bytes]) -> int | None:
    """The Content-Length, or None for a chunked body; 0 when there is no body."""
    if b"transfer-encoding" in headers:
        return None
    return int(headers.get(b"content-length", b"0"))


async def take_body(
    receive: Receive,
    length: int | None,
    limit: int | None,
    progress: Callable[[], None],
    received: Callable[[], None],
) -> bytes | Upload | None:
    """The whole body when it is small, else one to stream; 413 when it is, or says it is, larger than ``limit`` bytes.

    ``progress`` is called with every piece that arrives, ``received`` after the last.
    """
    if length == 0:
        received()
        return None
    if limit is not None and length is not None and length > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        progress()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if limit is not None and size > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            received()
            return b"".join(chunks)
        if size > HELD_BYTES:
            return Upload(b"".join(chunks), receive, limit, progress, received)
