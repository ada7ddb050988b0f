"""The body of a request on its way through: small ones are held (and can be sent again), larger ones are streamed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from starlette.types import Receive

from crm_kit.errors import DomainError

HELD_BYTES: Final = 64 * 1024

Progress = Callable[[int], None]
"""Told how many bytes have moved."""
Admit = Callable[[], Awaitable[None]]
"""Waits until the service may work on a body that is here; raises when it takes too long."""


async def at_once() -> None:
    """No waiting: the caller of this has seen to it."""


class CallerGone(Exception):
    """The caller closed the connection; there is nobody to answer."""


class Upload:
    """A body larger than what is held, passed on as it arrives and counted. The last piece waits for ``admit``, so that the
    service begins its work when there is room for it.

    ``failure`` says why passing on ended early: the HTTP client wraps what is raised here in an error of its own.
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
    """413 naming the limit."""
    return DomainError("body-too-large", f"Send a body of at most {limit} bytes.", members={"limit": limit})


def declared_length(headers: Mapping[bytes, bytes]) -> int | None:
    """The Content-Length, or None for a chunked body; 0 when there is no body."""
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
    """The whole body when it is small, else one to stream; 413 when it is, or says it is, larger than ``limit`` bytes.

    ``progress`` is called with every piece that arrives, ``received`` after the last; ``admit`` before that of one to stream
    is passed on.
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
