"""Heads that never end, silent connections, and bodies that continue after their answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from crm_kit.http import connections
from crm_kit.http.connections import (
    HEAD_BYTES,
    HEAD_FIELDS,
    PIPELINED,
    Limits,
)
from crm_kit.http.problems import status_of
from crm_kit.testing.serving import served
from tests.attacks.http_clients import header_lines, raw, request

Serve = Callable[[Limits], AbstractAsyncContextManager[str]]
LINE = b"GET /quick HTTP/1.1\r\nhost: crm\r\n"


@pytest.fixture
def gate() -> asyncio.Event:
    """Releases ``/slow``."""
    return asyncio.Event()


@pytest.fixture
def serve(gate: asyncio.Event) -> Serve:
    app = FastAPI()

    @app.api_route("/quick", methods=["GET", "POST"])
    async def quick(request: Request) -> Response:
        return JSONResponse({"fields": sorted(name for name, _ in request.headers.items())})

    @app.post("/read")
    async def read(request: Request) -> Response:
        size = len(await request.body())
        return JSONResponse({"size": size, "fields": sorted(name for name, _ in request.headers.items())})

    @app.get("/slow")
    async def slow() -> Response:
        await gate.wait()
        return JSONResponse({"slow": True})

    @app.get("/large")
    async def large() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(1024):
                yield b"a" * 65536

        return StreamingResponse(pieces())

    return lambda limits: served(app, limits)


async def is_fine(url: str) -> bool:
    """Whether another client gets an answer."""
    async with raw(url) as other:
        await other.send(request("GET", "/quick"))
        answer = await other.answer()
        return answer is not None and answer.status == 200


@pytest.mark.parametrize(
    "endless",
    [header_lines(65536), b"x" * 65536, b"x: " + b"a" * 65536],
    ids=["lines", "a name", "values"],
)
async def test_a_head_without_end_is_refused_at_its_limit(serve: Serve, endless: bytes) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(LINE)
        sent = await client.flood(endless, 200 * 1024 * 1024)
        answer = await client.answer()
        # The kernel's buffers are sent as well, but that is far less than the client tried to send.
        assert sent < 32 * 1024 * 1024
        assert answer is not None
        assert (answer.status, answer.problem) == (431, "head-too-large")
        assert answer.json["limit"] == HEAD_BYTES
        await client.ended()
        assert await is_fine(url)


async def test_a_request_line_without_end_is_refused_at_its_limit(serve: Serve) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"GET /quick?")
        await client.flood(b"a" * 65536, 200 * 1024 * 1024)
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 431


async def test_a_whole_head_that_is_too_large_or_has_too_many_fields_is_refused(serve: Serve) -> None:
    for fields, status in (
        (header_lines(HEAD_BYTES + 2000), 431),
        (b"x: y\r\n" * HEAD_FIELDS, 431),
        (b"x: y\r\n" * (HEAD_FIELDS - 1), 200),
        (b"x: " + b"a" * (HEAD_BYTES - 200) + b"\r\n", 200),
    ):
        async with serve(Limits()) as url, raw(url) as client:
            await client.send(LINE + fields + b"\r\n")
            answer = await client.answer()
            assert answer is not None
            assert answer.status == status
            if status != 200:
                assert status_of(answer.problem) == status


@pytest.mark.parametrize(
    "begun", [b"", b"GET /qu", LINE, b"\r\n\r\n"], ids=["nothing", "a line", "a field", "empty lines"]
)
async def test_a_head_has_its_time_and_no_more(serve: Serve, begun: bytes) -> None:
    async with serve(Limits(head_seconds=0.5)) as url, raw(url) as client:
        if begun:
            await client.send(begun)
        answer = await client.answer()
        assert answer is None or (answer.status, answer.problem) == (408, "request-timeout")
        await client.ended()


async def test_dripping_does_not_prolong_a_head(serve: Serve) -> None:
    async with serve(Limits(head_seconds=1)) as url, raw(url) as client:
        await client.send(request("GET", "/quick"))
        assert (await client.answer()) is not None
        await client.send(LINE)
        dripped = 0
        while not client.answered and dripped < 300:
            await client.send(b"x-%d: y\r\n" % dripped if dripped < 50 else b"y")
            dripped += 1
            await asyncio.sleep(0.1)
        assert dripped < 300
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 408


async def test_connections_that_say_nothing_make_way_for_those_that_do(serve: Serve) -> None:
    async with serve(Limits(per_proxy=20, head_seconds=60)) as url, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(raw(url)) for _ in range(60)]
        for client in silent[:30]:
            if not client.answered:
                client.writer.write(LINE)
        for _ in range(5):
            assert await is_fine(url)
        # The oldest connections are closed first, down to the limit.
        for client in silent[:40]:
            await client.ended()
        assert sum(not client.reader.at_eof() for client in silent) <= 20


async def test_who_is_busy_keeps_the_connection_and_the_next_is_told(serve: Serve, gate: asyncio.Event) -> None:
    async with serve(Limits(per_proxy=3)) as url, AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(raw(url)) for _ in range(3)]
        for client in busy:
            await client.send(request("GET", "/slow"))
        async with raw(url) as first:
            # Until all three connections are known to be busy, a new one can replace one that is not.
            answer = await first.answer()
        assert answer is not None
        assert (answer.status, answer.problem) == (429, "too-many-requests")
        assert answer.headers["retry-after"]
        gate.set()
        for client in busy:
            done = await client.answer()
            assert done is not None
            assert done.status == 200
        assert await is_fine(url)


async def test_the_process_has_a_bound_of_its_own(serve: Serve, gate: asyncio.Event) -> None:
    async with serve(Limits(total=2)) as url, AsyncExitStack() as stack:
        for _ in range(2):
            client = await stack.enter_async_context(raw(url))
            await client.send(request("GET", "/slow"))
        async with raw(url) as late:
            answer = await late.answer()
        assert answer is not None
        assert (answer.status, answer.problem) == (503, "unavailable")
        gate.set()


async def test_idle_connections_make_way(serve: Serve) -> None:
    async with serve(Limits(per_proxy=2)) as url, AsyncExitStack() as stack:
        idle = []
        for _ in range(4):
            client = await stack.enter_async_context(raw(url))
            await client.send(request("GET", "/quick"))
            assert await client.answer() is not None
            idle.append(client)
        await idle[0].ended()
        await idle[1].ended()
        assert [client.reader.at_eof() for client in idle[2:]] == [False, False]


async def test_pipelined_requests_are_few_and_those_taken_are_answered(serve: Serve, gate: asyncio.Event) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(request("GET", "/slow") + request("GET", "/quick") * PIPELINED * 4)
        assert await is_fine(url)
        gate.set()
        answers = [await client.answer() for _ in range(PIPELINED + 2)]
        assert [answer.status for answer in answers if answer] == [200] * (PIPELINED + 1) + [429]
        assert answers[-1] is not None
        assert answers[-1].headers["connection"] == "close"
        await client.ended()
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(request("GET", "/quick") * PIPELINED)
        for _ in range(PIPELINED):
            answer = await client.answer()
            assert answer is not None
            assert answer.status == 200


BAD_CHUNK = b"POST /read HTTP/1.1\r\nhost: crm\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n"


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (b"no HTTP\r\n\r\n", 400),
        (BAD_CHUNK, 400),
        (LINE + b"x: y\r\n" * HEAD_FIELDS + b"\r\n", 431),
        (LINE + header_lines(3 * HEAD_BYTES), 431),
    ],
    ids=["no HTTP", "a body", "fields", "a head"],
)
@pytest.mark.parametrize("behind", [1, 3])
async def test_what_is_refused_waits_for_the_answers_before_it(
    serve: Serve, gate: asyncio.Event, refused: bytes, status: int, behind: int
) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(request("GET", "/slow") * behind + refused)
        assert await is_fine(url)
        gate.set()
        answers = [await client.answer() for _ in range(behind + 1)]
        assert [answer.status for answer in answers if answer] == [200] * behind + [status]
        await client.ended()


@pytest.mark.parametrize("place", ["extension", "trailer", "trailers"])
async def test_a_chunked_body_says_little_beside_its_content(serve: Serve, place: str) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"POST /read HTTP/1.1\r\nhost: crm\r\ntransfer-encoding: chunked\r\n\r\n1")
        opening = {"extension": b";a=", "trailer": b"\r\na\r\n0\r\nx: ", "trailers": b"\r\na\r\n0\r\n"}[place]
        await client.send(opening)
        piece = header_lines(65536) if place == "trailers" else b"a" * 65536
        sent = await client.flood(piece, 200 * 1024 * 1024)
        assert sent < 32 * 1024 * 1024
        await client.ended()
        assert await is_fine(url)


async def test_one_body_after_another_is_read(serve: Serve) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        for size in (700_000, 5, 300_000, 0, 70_000):
            await client.send(request("POST", "/read", body=b"a" * size))
            answer = await client.answer()
            assert answer is not None
            assert answer.json["size"] == size


async def test_small_chunks_are_read_and_trailers_are_no_headers(serve: Serve) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"POST /read HTTP/1.1\r\nhost: crm\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(b"1;b=c\r\na\r\n" * 5000 + b"0\r\nauthorization: Bearer other\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.json == {"size": 5000, "fields": ["host", "transfer-encoding"]}


async def test_a_body_does_not_go_on_for_ever_after_its_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.5)
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"POST /quick HTTP/1.1\r\nhost: crm\r\ncontent-length: 1000000000\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200
        await client.ended()
    monkeypatch.setattr(connections, "LINGER_BYTES", 1024 * 1024)
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"POST /quick HTTP/1.1\r\nhost: crm\r\ncontent-length: 1000000000\r\n\r\n")
        assert await client.answer() is not None
        assert await client.flood(b"a" * 65536, 200 * 1024 * 1024) < 32 * 1024 * 1024


async def test_a_body_that_comes_late_is_thrown_away_and_the_next_request_answered(serve: Serve) -> None:
    async with serve(Limits()) as url, raw(url) as client:
        await client.send(b"POST /quick HTTP/1.1\r\nhost: crm\r\ncontent-length: 500000\r\n\r\n")
        assert await client.answer() is not None
        await client.send(b"a" * 500000 + request("GET", "/quick"))
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200


async def test_who_does_not_read_the_answer_is_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = asyncio.Event()
    lost = connections.Connection.connection_lost

    def connection_lost(self: connections.Connection, exc: Exception | None) -> None:
        lost(self, exc)
        dropped.set()

    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(connections.Connection, "connection_lost", connection_lost)
    async with serve(Limits()) as url, raw(url) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        await client.send(request("GET", "/large"))
        async with asyncio.timeout(120):
            await dropped.wait()


async def test_what_is_no_http_gets_a_problem(serve: Serve) -> None:
    for rubbish in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ):
        async with serve(Limits()) as url, raw(url) as client:
            await client.send(rubbish)
            answer = await client.answer()
            assert answer is not None
            assert (answer.status, answer.problem) == (400, "invalid-request")
            assert answer.headers["connection"] == "close"
