"""Servers that act as a service behind the gateway. Each path does one thing, and requests are recorded."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from crm_kit.testing.serving import served

PIECE = bytes(range(256)) * 256
PIECES = 800
"""50 MiB in pieces of 64 KiB."""


@dataclass
class Scripted:
    """An upstream.

    ``/leads/echo`` returns the request, ``/hang`` never answers, ``/torn`` breaks off, ``/big`` is 50 MiB.
    """

    url: str = ""
    seen: list[str] = field(default_factory=list)
    """Method and target of every request."""
    waiting: int = 0
    """Requests that hang at this moment, until their caller disconnects."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the end of the test, so that hanging requests continue."""
    sent: int = 0
    """Pieces of the big answer that the caller has read."""
    openapi: dict[str, Any] = field(default_factory=dict)
    machines: Any = field(default_factory=lambda: {"items": []})
    entities: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Status and JSON by path. An error is sent as a problem document."""
    silent: set[str] = field(default_factory=set)
    """Paths that never answer."""
    refused_tokens: set[str] = field(default_factory=set)
    """Authorizations that are answered with 401."""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Headers of the last request, by path."""

    async def answer(self, request: Request) -> Response:
        target = request.scope["raw_path"].decode()
        if request.scope["query_string"]:
            target += "?" + request.scope["query_string"].decode()
        self.seen.append(f"{request.method} {target}")
        path = request.url.path.removeprefix("/api/v1")
        async with self.changed:
            self.headers[path] = dict(request.headers)
            self.changed.notify_all()
        if request.headers.get("authorization") in self.refused_tokens:
            told = {"type": "/problems/token-superseded", "status": 401}
            return JSONResponse(told, 401, media_type="application/problem+json")
        if path in self.silent:
            return await self._hang(request)
        if path in self.answers:
            status, told = self.answers[path]
            return JSONResponse(told, status, media_type=f"application/{'problem+' if status >= 400 else ''}json")
        match path:
            case "/leads/hang":
                return await self._hang(request)
            case "/leads/torn":
                return StreamingResponse(_torn(), headers={"content-length": "1000"})
            case "/leads/big" | "/leads/jobs/1/errors":
                return StreamingResponse(self._big(), media_type="text/csv")
            case "/leads/stuck":
                return StreamingResponse(self._stuck(request))
            case "/leads/busy":
                return JSONResponse({"type": "/problems/unavailable"}, 503, {"retry-after": "7"})
            case "/leads/small":
                return JSONResponse({"small": True})
            case "/leads/events":
                return Response(b"x" * 5000, media_type="text/event-stream")
            case "/leads/token":
                return Response(b"x" * 5000, media_type="text/plain", headers={"cache-control": "no-store"})
            case "/leads/picture":
                return Response(b"x" * 5000, media_type="image/png")
            case "/leads/noise":
                return StreamingResponse(self._noise(), media_type="text/csv")
            case "/openapi.json":
                return JSONResponse(self.openapi)
            case "/meta/entities":
                return JSONResponse(
                    {"items": [{**one, "label": request.headers.get("accept-language")} for one in self.entities]}
                )
            case "/meta/state-machines":
                return JSONResponse(self.machines)
        return await self._echo(request, target)

    async def _echo(self, request: Request, target: str) -> Response:
        size, digest = 0, hashlib.sha256()
        async for piece in request.stream():
            size += len(piece)
            digest.update(piece)
        told = {
            "method": request.method,
            "target": target,
            "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
            "size": size,
            "sha256": digest.hexdigest(),
        }
        own = {
            "etag": '"3"',
            "crm-version": "lead/1@3",
            "crm-conflicts": "2",
            "set-cookie": "a=b",
            "server": "secret/1.0",
            "x-internal": "yes",
        }
        return JSONResponse(told, 201 if request.method == "POST" else 200, own)

    async def until_waiting(self, number: int) -> None:
        """Wait until this many requests hang. Raises TimeoutError after two minutes."""
        async with asyncio.timeout(120), self.changed:
            await self.changed.wait_for(lambda: self.waiting == number)

    async def until_seen(self, path: str) -> None:
        """Wait until the path was requested. Raises TimeoutError after two minutes."""
        async with asyncio.timeout(120), self.changed:
            await self.changed.wait_for(lambda: path in self.headers)

    async def _hang(self, request: Request) -> Response:
        await self._count(1)
        ends = [asyncio.create_task(_until_gone(request)), asyncio.create_task(self.over.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await self._count(-1)
        return Response()

    async def _count(self, difference: int) -> None:
        async with self.changed:
            self.waiting += difference
            self.changed.notify_all()

    async def _big(self) -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            self.sent += 1
            yield PIECE

    async def _noise(self) -> AsyncIterator[bytes]:
        """As long as the big answer, and no smaller when it is coded."""
        for _ in range(PIECES):
            self.sent += 1
            yield random.randbytes(len(PIECE))

    async def _stuck(self, request: Request) -> AsyncIterator[bytes]:
        yield b"the beginning"
        await self._hang(request)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _torn() -> AsyncIterator[bytes]:
    yield b"0123456789"
    raise ConnectionAbortedError("broken off on purpose")


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """Start an upstream on its own port."""
    upstream = Scripted()
    app = FastAPI(openapi_url=None)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app.router.add_route("/{path:path}", upstream.answer, methods=methods)
    async with served(app) as upstream.url:
        try:
            yield upstream
        finally:
            upstream.over.set()


@dataclass
class Flaky:
    """A server that accepts connections and requests, and closes the first ``failures`` of them without an answer."""

    failures: int
    url: str = ""
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().lower().split("\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
                await reader.readexactly(length)
                self.requests.append(lines[0].upper().removesuffix(" HTTP/1.1"))
                if len(self.requests) <= self.failures:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}")
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def flaky(failures: int) -> AsyncIterator[Flaky]:
    """Start a flaky upstream on its own port."""
    upstream = Flaky(failures)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield upstream
