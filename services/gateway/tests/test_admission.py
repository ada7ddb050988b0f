"""Admission: tokens, addresses, origins, paths."""

import asyncio
from datetime import timedelta
from ipaddress import ip_network

import asyncpg
import pytest

from crm_gateway.cors import Cors
from crm_gateway.proxy.headers import ANSWER, REQUEST
from crm_kit import clock
from crm_kit.network.addresses import client_address
from crm_kit.testing import Client, Issuer, principal
from crm_kit.testing.databases import ServiceDatabase

from .conftest import Start
from .scripted import Scripted

ORIGIN = "https://crm.example.com"


async def test_without_a_token_nothing_reaches_a_service(gateway: Client, sales: Scripted) -> None:
    answer = await gateway.as_token(None).get("/api/v1/leads/echo")
    assert (answer.status, answer.problem) == (401, "token-missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="crm"'
    forged = await gateway.as_token("e30.e30.e30").get("/api/v1/leads/echo")
    assert (forged.status, forged.problem) == (401, "token-invalid")
    assert sales.seen == []


@pytest.mark.parametrize("path", ["token", "revoke", "jwks"])
async def test_the_ways_to_a_token_need_none(start: Start, sales: Scripted, path: str) -> None:
    gateway = await start({"identity": sales.url})
    answer = await gateway.as_token(None).post(f"/api/v1/auth/{path}", {})
    assert answer.status == 201
    assert dict(answer.json["headers"])["x-forwarded-for"] == "127.0.0.1", "identity counts by it"
    assert (await gateway.as_token(None).get("/api/v1/auth/me")).status == 401


async def test_a_superseded_token_is_refused(
    start: Start, sales: Scripted, issuer: Issuer, database: ServiceDatabase
) -> None:
    caller = principal()
    gateway = await start({"sales": sales.url}, caller)
    assert (await gateway.get("/api/v1/leads/echo")).status == 200
    conn = await asyncpg.connect(database.url)
    await conn.execute("insert into revocation values ($1, $2)", caller.id, clock.now() + timedelta(seconds=1))
    await conn.execute(
        "insert into access_state (id, marker) values (1, 1) on conflict (id) do update set marker = access_state.marker + 1"
    )
    await conn.close()
    async with asyncio.timeout(120):
        # Beyond its share a caller is told to come back.
        while (answer := await gateway.get("/api/v1/leads/echo")).status in (200, 429):
            pass
    assert (answer.status, answer.problem) == (401, "token-superseded")
    others = gateway.as_token(issuer.token(principal()))
    assert (await others.get("/api/v1/leads/echo")).status == 200


async def test_an_unknown_path_is_a_404_problem(gateway: Client) -> None:
    for path in ("/api/v1/nonsense", "/api/v1/settings/nonsense", "/api/v2/leads", "/nonsense"):
        answer = await gateway.get(path)
        assert (answer.status, answer.problem, answer.json["instance"]) == (404, "not-found", path)


async def test_a_service_that_is_not_installed_is_unavailable(gateway: Client) -> None:
    answer = await gateway.get("/api/v1/tasks")
    assert (answer.status, answer.problem) == (503, "unavailable")


async def test_health_needs_no_token(gateway: Client) -> None:
    nobody = gateway.as_token(None)
    assert (await nobody.get("/healthz")).json == {"status": "ok"}
    assert (await nobody.get("/readyz")).json["status"] == "ready"
    assert (await nobody.get("/metrics")).status == 404


async def test_pages_of_allowed_origins_may_call(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_CORS_ORIGINS=f"{ORIGIN}, https://other.example.com/")
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization,if-match",
    }
    preflight = await gateway.as_token(None).request("OPTIONS", "/api/v1/leads/echo", headers=asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "if-match", "idempotency-key", "crm-after"} <= set(allowed)
    assert sales.seen == []
    for path in ("/api/v1/leads/echo", "/openapi.json"):
        answer = await gateway.get(path, headers={"origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert {"etag", "location", "crm-version", "retry-after", "ratelimit", "crm-correlation-id"} <= exposed
    refused = await gateway.as_token(None).get("/api/v1/leads/echo", headers={"origin": ORIGIN})
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN, "or the page could not read the problem"


@pytest.mark.parametrize("origins", [ORIGIN, ""])
async def test_pages_of_other_origins_may_not(start: Start, sales: Scripted, origins: str) -> None:
    gateway = await start({"sales": sales.url}, CRM_CORS_ORIGINS=origins)
    evil = {"origin": "https://crm.example.com.evil.net", "access-control-request-method": "GET"}
    preflight = await gateway.as_token(None).request("OPTIONS", "/api/v1/leads/echo", headers=evil)
    assert (preflight.status, preflight.problem) == (403, "origin-not-allowed")
    assert "evil.net" in preflight.json["detail"]
    assert "CRM_CORS_ORIGINS" in preflight.json["detail"]
    assert "access-control-allow-origin" not in preflight.headers
    answer = await gateway.get("/api/v1/leads/echo", headers={"origin": evil["origin"]})
    assert "access-control-allow-origin" not in answer.headers
    asked = await gateway.as_token(None).request("OPTIONS", "/api/v1/leads/echo", headers={"origin": ORIGIN})
    assert asked.problem == "token-missing", "no preflight: it has no access-control-request-method"


def test_every_header_of_an_answer_is_exposed_and_every_header_of_a_request_accepted() -> None:
    cors = Cors(frozenset({ORIGIN}))
    exposed = dict(cors.headers({b"origin": ORIGIN.encode()}))[b"access-control-expose-headers"].decode().split(", ")
    # The Fetch standard exposes these of itself.
    safelisted = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"}
    assert {name.decode() for name in ANSWER} - safelisted <= set(exposed)
    asked = {b"origin": ORIGIN.encode(), b"access-control-request-method": b"GET"}
    preflight = cors.preflight("OPTIONS", asked)
    assert preflight is not None
    accepted = preflight.headers["access-control-allow-headers"].split(", ")
    assert {name.decode() for name in REQUEST} | {"crm-deadline-ms", "crm-correlation-id", "traceparent"} <= set(
        accepted
    )


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
    ],
)
def test_only_our_proxies_are_believed_whom_they_speak_for(peer: str, forwarded: list[str], expected: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected
