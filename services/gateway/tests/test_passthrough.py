"""Which parts of requests and answers pass the gateway."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from crm_kit.testing import Client

from .conftest import Start
from .scripted import PIECE, PIECES, Scripted, flaky
from .wire import on_the_wire

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "upgrade", "proxy-authorization", "transfer-encoding"}


async def test_a_request_arrives_as_it_was_sent(gateway: Client) -> None:
    body = b'{"topic": "caf\xc3\xa9"}'
    target = "/api/v1/leads/%65cho/../%2e%2e/a%2Fb?q=a%20b+c&age[gte]=1&owner_id[in]=a,b&path=%2F..%2F&&x"
    head = f"POST {target} HTTP/1.1\r\nhost: crm\r\nauthorization: Bearer {gateway.token}\r\n"
    status, answer = await on_the_wire(gateway, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert status == 201
    assert (answer["method"], answer["target"]) == ("POST", target)
    assert (answer["size"], answer["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


async def test_headers_pass_by_an_allow_list(gateway: Client) -> None:
    sent = {
        "if-match": '"3"',
        "idempotency-key": "k1",
        "crm-after": "lead/1@3",
        "accept": "text/csv",
        "user-agent": "test/1",
        "cookie": "session=1",
        "x-evil": "1",
        "te": "trailers",
        "upgrade": "h2c",
        "proxy-authorization": "Basic eA==",
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-host": "evil.example",
        "forwarded": "for=6.6.6.6",
        "crm-correlation-id": "order-17",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    answer = await gateway.request("POST", "/api/v1/leads/echo", body=b"{}", headers=sent)
    arrived = dict(answer.json["headers"])
    assert {name: arrived[name] for name in ("if-match", "idempotency-key", "crm-after", "accept", "user-agent")} == {
        name: sent[name] for name in ("if-match", "idempotency-key", "crm-after", "accept", "user-agent")
    }
    assert arrived["authorization"] == f"Bearer {gateway.token}"
    assert arrived["x-forwarded-for"] == "127.0.0.1"
    assert arrived["x-forwarded-host"] == gateway.base_url.removeprefix("http://")
    assert arrived["x-forwarded-proto"] == "http"
    assert arrived["crm-correlation-id"] == "order-17"
    assert arrived["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert 0 < int(arrived["crm-deadline-ms"]) <= 600_000
    assert not (HOP_BY_HOP | {"cookie", "x-evil", "forwarded"}) & arrived.keys()
    assert len(arrived) == len(answer.json["headers"]), "each header once"


async def test_an_answer_shows_only_what_callers_may_see(gateway: Client) -> None:
    answer = await gateway.get(
        "/api/v1/leads/echo", headers={"crm-correlation-id": "order-18", "accept-encoding": "identity"}
    )
    assert answer.headers["etag"] == '"3"'
    assert answer.headers["crm-version"] == "lead/1@3"
    assert answer.headers["crm-conflicts"] == "2"
    assert answer.headers["crm-correlation-id"] == "order-18"
    assert len(answer.headers["traceparent"]) == 55
    assert not {"set-cookie", "server", "x-internal"} & {name.lower() for name in answer.headers}


async def test_a_services_own_refusal_passes_unchanged(gateway: Client) -> None:
    answer = await gateway.get("/api/v1/leads/busy")
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize("path", ["/api/v1/leads/big", "/api/v1/leads/jobs/1/errors"])
async def test_a_large_answer_streams(gateway: Client, path: str) -> None:
    answer = await gateway.get(path)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(PIECE * PIECES).digest()


async def test_a_slow_reader_slows_the_service_down_and_fills_no_memory(gateway: Client, sales: Scripted) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"authorization": f"Bearer {gateway.token}", "accept-encoding": "identity"}
        async with session.get(f"{gateway.base_url}/api/v1/leads/jobs/1/errors", headers=headers) as answer:
            await answer.content.readexactly(1)
            before = -1
            while sales.sent != before:
                before = sales.sent
                await asyncio.sleep(0.2)
            assert sales.sent < PIECES / 2, "the gateway took far more than its caller"


async def test_a_large_import_streams_past_the_limit_of_bodies(gateway: Client) -> None:
    async def rows() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    answer = await gateway.request("POST", "/api/v1/leads/import", body=rows())
    assert answer.json["size"] == PIECES * len(PIECE)
    assert answer.json["sha256"] == hashlib.sha256(PIECE * PIECES).hexdigest()


async def test_an_import_of_known_length_keeps_it(gateway: Client) -> None:
    answer = await gateway.request("POST", "/api/v1/leads/import", body=PIECE * 40)
    assert dict(answer.json["headers"])["content-length"] == str(len(PIECE) * 40)
    assert answer.json["size"] == len(PIECE) * 40


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(gateway: Client) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.get("/api/v1/leads/torn")
    assert (await gateway.get("/api/v1/leads/echo")).status == 200


async def test_callers_at_the_same_time_never_see_each_other(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url})
    clients = [gateway.as_token(token_for()) for _ in range(20)]
    at_once = asyncio.Semaphore(40)

    async def call(number: int) -> None:
        client = clients[number % 20]
        body = f"{number}:".encode() * (1 + number * 37 % 4000)
        async with at_once:
            answer = await client.request("POST", f"/api/v1/leads/echo?n={number}", body=body)
        assert answer.json["target"].endswith(f"?n={number}")
        assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()
        assert ["authorization", f"Bearer {client.token}"] in answer.json["headers"]

    await asyncio.gather(*map(call, range(400)))


async def test_a_caller_who_hangs_up_ends_the_call(gateway: Client, sales: Scripted) -> None:
    call = asyncio.create_task(gateway.get("/api/v1/leads/hang"))
    await sales.until_waiting(1)
    call.cancel()
    await sales.until_waiting(0)
    assert (await gateway.get("/api/v1/leads/echo")).status == 200


REPEATED: list[tuple[str, dict[str, str]]] = [("GET", {}), ("POST", {"idempotency-key": "k1"})]
SENT_ONCE: list[tuple[str, dict[str, str]]] = [("POST", {}), ("PATCH", {}), ("DELETE", {})]


@pytest.mark.parametrize(("method", "headers"), REPEATED)
async def test_a_safe_request_is_sent_again_when_the_connection_broke(
    start: Start, method: str, headers: dict[str, str]
) -> None:
    async with flaky(1) as upstream:
        gateway = await start({"sales": upstream.url})
        body = b"{}" if method == "POST" else None
        answer = await gateway.request(method, "/api/v1/leads", body=body, headers=headers)
        assert answer.status == 200
        assert upstream.requests == [f"{method} /API/V1/LEADS"] * 2


@pytest.mark.parametrize(("method", "headers"), SENT_ONCE)
async def test_a_request_that_may_have_taken_effect_is_sent_once(
    start: Start, method: str, headers: dict[str, str]
) -> None:
    async with flaky(1) as upstream:
        gateway = await start({"sales": upstream.url})
        answer = await gateway.request(method, "/api/v1/leads", body=b"{}", headers=headers)
        assert (answer.status, answer.problem, answer.headers["retry-after"]) == (503, "unavailable", "1")
        assert upstream.requests == [f"{method} /API/V1/LEADS"]


async def test_a_safe_request_is_sent_again_only_once(start: Start) -> None:
    async with flaky(5) as upstream:
        gateway = await start({"sales": upstream.url})
        assert (await gateway.get("/api/v1/leads")).problem == "unavailable"
        assert len(upstream.requests) == 2


async def test_an_answer_that_is_no_http_is_502(start: Start) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello there\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        gateway = await start({"sales": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        answer = await gateway.get("/api/v1/leads")
    assert (answer.status, answer.problem) == (502, "upstream-failed")
