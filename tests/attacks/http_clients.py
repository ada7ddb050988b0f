"""Clients that write HTTP byte by byte, as HTTP clients do not write it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True)
class RawAnswer:
    """An answer as received."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def problem(self) -> str:
        """The slug of a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        return str(self.json["type"]).rpartition("/")[2]


@dataclass
class RawClient:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = field(default=0)

    @classmethod
    async def connect(cls, url: str) -> Self:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, data: bytes) -> None:
        """Send bytes. Raises OSError once the server has closed the connection."""
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def flood(self, piece: bytes, most: int) -> int:
        """Send ``piece`` repeatedly until the server closes the connection or answers, or ``most`` bytes are sent."""
        while self.sent < most and not self.answered and not self.writer.is_closing():
            try:
                async with asyncio.timeout(5):
                    await self.send(piece)
            except (OSError, TimeoutError):
                break
            await asyncio.sleep(0)
        return self.sent

    @property
    def answered(self) -> bool:
        """Whether the server has sent anything, or closed the connection."""
        return self.reader.at_eof() or bool(self.reader._buffer)  # type: ignore[attr-defined]  # looked at, not taken

    async def answer(self, seconds: float = 120) -> RawAnswer | None:
        """Return the next answer; None if the server closes the connection without one."""
        async with asyncio.timeout(seconds):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            status, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(int(status.split()[1]), headers, body)

    async def ended(self, seconds: float = 120) -> None:
        """Wait until the server has closed the connection. Raises TimeoutError if it does not."""
        async with asyncio.timeout(seconds):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[RawClient]:
    """Open a connection for the block."""
    client = await RawClient.connect(url)
    try:
        yield client
    finally:
        client.close()


def header_lines(size: int) -> bytes:
    """Return about ``size`` bytes of header lines."""
    return b"".join(b"x-%07d: %s\r\n" % (number, b"a" * 88) for number in range(size // 100))


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a whole request with a Content-Length."""
    told = {"host": "crm", **({"content-length": str(len(body))} if body else {}), **(headers or {})}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return head.encode() + b"\r\n" + body


def chunks(pieces: Iterator[bytes], extension: bytes = b"") -> Iterator[bytes]:
    """Return the pieces as chunks of a chunked body without its end."""
    for piece in pieces:
        yield b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
