"""The body of a passing request. Small bodies are held and can be sent again. Larger ones are streamed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from starlette.types import Receive

from crm_contracts.sentences import said
from crm_kit.errors import DomainError

HELD_BYTES: Final = 64 * 1024

Progress = Callable[[int], None]
"""Called with the number of bytes that have moved."""
Admit = Callable[[], Awaitable[None]]
"""Waits until the service may start on a body that has arrived. Raises after too long a wait."""


async def at_once() -> None:
    """Do not wait. The caller limits its concurrent calls itself."""


class CallerGone(Exception):
    """The caller closed the connection."""


class Upload:
    """A body that is too large to hold. It is passed on and counted as it arrives.

    The last piece waits for ``admit``, so that the service starts its work when it has a free slot.

    ``failure`` is the reason why passing on ended early, because the HTTP client wraps exceptions raised here in its
    own.
    """

    def __init__(
        self, head: bytes, receive: Receive, limit: int, progress: Progress, received: Callable[[], None], admit: Admit
    ) -> None:
        self.failure: DomainError | CallerGone | None = None
        self._head, self._receive, self._limit = head, receive, limit
        self._progress, self._received, self._admit = progress, received, admit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held, size = self._head, len(self._head)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.failure = CallerGone()
                raise self.failure
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            self._progress(len(chunk))
            if size > self._limit:
                self.failure = too_large(self._limit)
                raise self.failure
            if not message.get("more_body", False):
                self._received()
                try:
                    await self._admit()
                except DomainError as error:
                    self.failure = error
                    raise
                yield held + chunk
                return
            if chunk:
                yield held
                held = chunk


def too_large(limit: int) -> DomainError:
    """Return the 413 with the limit."""
    return DomainError(
        "body-too-large", said("Send a body of at most {limit} bytes.", limit=limit), members={"limit": limit}
    )


def declared_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the Content-Length, None for a chunked body, 0 without a body."""
    if b"transfer-encoding" in headers:
        return None
    return int(headers.get(b"content-length", b"0"))


async def take_body(
    receive: Receive,
    length: int | None,
    limit: int,
    progress: Progress,
    received: Callable[[], None],
    admit: Admit = at_once,
) -> bytes | Upload | None:
    """Return the whole body if it is small, else one to stream.

    413 if it is larger than ``limit`` bytes or declared so.

    ``progress`` is called with the size of each piece that arrives, ``received`` after the last one. ``admit`` is
    awaited before the last piece of a streamed body is passed on.
    """
    if length == 0:
        received()
        return None
    if length is not None and length > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        progress(len(chunk))
        if size > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            received()
            return b"".join(chunks)
        if size > HELD_BYTES:
            return Upload(b"".join(chunks), receive, limit, progress, received, admit)
