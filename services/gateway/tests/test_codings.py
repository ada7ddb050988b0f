"""Answers in brotli and gzip: negotiation, ETags, and what stays as it is."""

import gzip
import zlib

import aiohttp
import brotli
import pytest

from crm_gateway import kept
from crm_gateway.codings import chosen
from crm_kit.testing import Client

from .conftest import Start
from .scripted import PIECE, PIECES, Scripted


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", None),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"gzip", b"gzip"),
        (b"br;q=0.5, gzip;q=0.8", b"gzip"),
        (b"br;q=0, gzip;q=0", None),
        (b"*", b"br"),
        (b"*;q=0", None),
        (b"br;q=0, *", b"gzip"),
        (b"identity, br;q=0.9", None),
        (b"BR ; q=1.0", b"br"),
        (b"br;q=nonsense", None),
        (b"deflate", None),
    ],
)
def test_the_caller_weighs_the_codings(accepted: bytes, expected: bytes | None) -> None:
    assert chosen(accepted) == expected


@pytest.fixture
async def raw(gateway: Client) -> "Raw":
    return Raw(gateway)


class Raw:
    """Requests whose answers are not decoded."""

    def __init__(self, gateway: Client) -> None:
        self._gateway = gateway

    async def get(
        self, path: str, accept: str, method: str = "GET", **headers: str
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        sent = {"authorization": f"Bearer {self._gateway.token}", "accept-encoding": accept}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, self._gateway.base_url + path, headers=sent) as answer,
        ):
            return answer, await answer.read()


LONG = "/api/v1/leads/echo?" + "x" * 3000


@pytest.mark.parametrize(("coding", "decode"), [("br", brotli.decompress), ("gzip", gzip.decompress)])
async def test_a_coded_answer_has_a_tag_of_its_own(raw: Raw, sales: Scripted, coding: str, decode: object) -> None:
    plain, body = await raw.get(LONG, "identity")
    assert (plain.headers["etag"], "content-encoding" in plain.headers) == ('"3"', False)
    answer, coded = await raw.get(LONG, coding)
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["etag"] == f'"3-{coding}"'
    assert len(coded) < len(body) / 3
    assert callable(decode)
    assert b"x" * 3000 in decode(coded)
    for one in (plain, answer):
        assert "Accept-Encoding" in one.headers.getall("vary"), "or a cache would give it to those who cannot read it"
    # The service knows nothing of codings: it gets the tag that it gave.
    await raw.get("/api/v1/leads/echo", coding, if_match=f'"7", "3-{coding}"', if_none_match='W/"2", "3-gzip"')
    arrived = sales.headers["/leads/echo"]
    assert (arrived["if-match"], arrived["if-none-match"]) == ('"7", "3"', 'W/"2", "3"')


async def test_what_has_not_changed_keeps_the_tag_that_the_caller_has(raw: Raw) -> None:
    first, _ = await raw.get("/openapi.json", "br")
    tag = first.headers["etag"]
    assert tag.endswith('-br"')
    again, body = await raw.get("/openapi.json", "br", if_none_match=tag)
    assert (again.status, body, again.headers["etag"]) == (304, b"", tag)
    assert "Accept-Encoding" in again.headers.getall("vary")
    plain = tag.replace("-br", "")
    other, _ = await raw.get("/openapi.json", "br", if_none_match=plain)
    assert (other.status, other.headers["etag"]) == (304, plain)


async def test_small_answers_events_and_secrets_stay_as_they_are(raw: Raw, sales: Scripted) -> None:
    small, body = await raw.get("/api/v1/leads/small", "br")
    assert body == b'{"small":true}'
    for path in ("/leads/events", "/leads/token", "/leads/picture"):
        answer, got = await raw.get(f"/api/v1{path}", "br, gzip")
        assert ("content-encoding" in answer.headers, len(got)) == (False, 5000), path
    assert "content-encoding" not in small.headers


async def test_head_says_what_get_would(raw: Raw) -> None:
    for path in (LONG, "/openapi.json"):
        for accept in ("br", "identity"):
            got, _ = await raw.get(path, accept)
            head, body = await raw.get(path, accept, "HEAD")
            assert body == b""
            told = ["content-encoding", "content-type", "etag"]
            if path != LONG:  # the scripted service tells the method, which is longer
                told.append("content-length")
            assert [head.headers.get(name) for name in told] == [got.headers.get(name) for name in told], (path, accept)


async def test_a_streamed_answer_is_coded_piece_by_piece(start: Start, sales: Scripted) -> None:
    """The sender is far from its end when the first bytes are read, and is held up while nobody reads."""
    gateway = await start({"sales": sales.url})
    sent = {"authorization": f"Bearer {gateway.token}", "accept-encoding": "gzip"}
    inflate, size = zlib.decompressobj(wbits=31), 0
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(gateway.base_url + "/api/v1/leads/noise", headers=sent) as answer,
    ):
        assert answer.headers["content-encoding"] == "gzip"
        size += len(inflate.decompress(await answer.content.readany()))
        assert sales.sent < PIECES / 2
        async for piece in answer.content.iter_any():
            size += len(inflate.decompress(piece))
    assert size == PIECES * len(PIECE)


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/docs/openapi.json", "/docs/assets/swagger-ui.css", "/asyncapi.json"]
)
async def test_what_is_the_same_for_all_is_coded_once_for_each_coding(
    raw: Raw, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, body = await raw.get(path, "identity")
    decoded = {"br": brotli.decompress, "gzip": gzip.decompress}
    tags = {plain.headers["etag"]}
    for coding, decode in decoded.items():
        answer, sent = await raw.get(path, coding)
        assert (answer.headers["content-encoding"], decode(sent)) == (coding, body)
        assert answer.headers.getall("vary") == ["Accept-Encoding"]
        assert int(answer.headers["content-length"]) == len(sent) < len(body)
        tags.add(answer.headers["etag"])
    assert len(tags) == 3, "another representation has another tag"

    def coded_again(body: bytes, coding: bytes) -> bytes:
        raise AssertionError(f"{coding!r} again")

    monkeypatch.setattr(kept, "coded", coded_again)
    for coding in decoded:
        answer, _ = await raw.get(path, coding)
        assert answer.status == 200
        again, nothing = await raw.get(path, coding, if_none_match=answer.headers["etag"])
        assert (again.status, nothing, again.headers["etag"]) == (304, b"", answer.headers["etag"])
