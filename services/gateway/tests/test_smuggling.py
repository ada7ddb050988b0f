"""Requests that two servers could interpret differently reach no service."""

import pytest

from crm_kit.testing import Client

from .scripted import Scripted
from .wire import on_the_wire

SMUGGLED = b"GET /api/v1/leads/smuggled HTTP/1.1\r\nhost: crm\r\n\r\n"

AMBIGUOUS = {
    "both framings": b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"content-length: 0\r\ncontent-length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a list of lengths": b"content-length: 0, 5\r\n\r\nhello",
    "a signed length": b"content-length: +5\r\n\r\nhello",
    "chunked twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an encoding after chunked": b"transfer-encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an obscured encoding": b"transfer-encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a folded header": b"x-a: b\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
    "a space before the colon": b"content-length : 5\r\n\r\nhello",
    "a bare line feed": b"x-a: b\ncontent-length: 0\r\n\r\n",
    "a bad chunk size": b"transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "two tokens": b"authorization: Bearer other\r\ncontent-length: 0\r\n\r\n",
    "two types": b"content-type: a/b\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n",
    "a header beyond ASCII": b"idempotency-key: \xc3\xa9\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_an_ambiguous_request_is_refused(gateway: Client, sales: Scripted, rest: bytes) -> None:
    head = f"POST /api/v1/leads/echo HTTP/1.1\r\nhost: crm\r\nauthorization: Bearer {gateway.token}\r\n"
    status, _ = await on_the_wire(gateway, head.encode() + rest)
    assert status in (400, 401)
    assert sales.seen == []


async def test_a_body_is_never_read_as_the_next_request(gateway: Client, sales: Scripted) -> None:
    head = (
        f"POST /api/v1/leads/echo HTTP/1.1\r\nhost: crm\r\nauthorization: Bearer {gateway.token}\r\n"
        f"content-length: {len(SMUGGLED)}\r\n\r\n"
    )
    status, answer = await on_the_wire(gateway, head.encode() + SMUGGLED)
    assert (status, answer["size"]) == (201, len(SMUGGLED))
    assert (await gateway.get("/api/v1/leads/echo")).status == 200
    assert sales.seen == ["POST /api/v1/leads/echo", "GET /api/v1/leads/echo"]
