"""A connection is renewed now and then, so that load reaches new replicas."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest
from fastapi import FastAPI, Request, Response

from crm_kit.http.connections import Limits
from crm_kit.testing.serving import served


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), [False, False, False, False]),
        (Limits(keep_alive_requests=2), [False, True, False, True]),
        (Limits(keep_alive_seconds=1e-6), [True, True, True, True]),
    ],
    ids=["young", "many requests", "old"],
)
async def test_an_answer_says_that_it_is_the_last_of_its_connection(limits: Limits, expected: list[bool]) -> None:
    app = FastAPI()
    app.get("/")(lambda: "here")
    last = []
    async with served(app, limits) as url, aiohttp.ClientSession(url) as session:
        for _ in expected:
            async with session.get("/") as answer:
                assert await answer.text() == '"here"'
                last.append(answer.headers.get("Connection") == "close")
    assert last == expected


async def test_an_answer_before_the_end_of_the_body_does_not_close_the_connection() -> None:
    app = FastAPI()

    async def early(request: Request) -> Response:
        return Response("no", 401)

    app.add_route("/", early, methods=["POST"])
    async with served(app, Limits(keep_alive_seconds=1e-6)) as url:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        async with asyncio.timeout(120):
            writer.write(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 6\r\n\r\n123")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 401")
            assert b"connection: close" not in head.lower()
            assert await reader.readexactly(2) == b"no"
            # The rest is still read, and the next answer is the last.
            writer.write(b"456POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" in head.lower()
            assert await reader.read() == b"no"
        writer.close()
