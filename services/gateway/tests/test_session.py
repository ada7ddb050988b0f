"""Sessions of browsers: the cookie, the tokens behind it, and what other sites cannot do with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from crm_gateway.session import keeping
from crm_kit.access.privileges import Principal
from crm_kit.testing import Issuer, principal
from crm_kit.testing.databases import ServiceDatabase
from crm_kit.testing.serving import served

from .conftest import Gateway, Start
from .scripted import Scripted

SESSION = "/api/v1/session"
OWN = {"sec-fetch-site": "same-origin", "crm-csrf": "1"}
LOG_IN = {"email": "ada@example.org", "password": "correct horse battery staple"}


@dataclass
class Identity:
    """A server that grants tokens as identity does: a refresh token can be used once, and a second use ends the session."""

    issuer: Issuer
    user: Principal = field(default_factory=principal)
    url: str = ""
    grants: list[str] = field(default_factory=list)
    token_seconds: int = 600
    is_old: bool = False
    """The release before: it does not tell the session and its end."""
    away: bool = False
    live: set[str] = field(default_factory=set)
    hold: asyncio.Event | None = None

    async def token(self, request: Request) -> Response:
        form = await request.form()
        self.grants.append(str(form["grant_type"]))
        if self.hold is not None:
            await self.hold.wait()
        if self.away:
            return _refused("unavailable", 503)
        if form["grant_type"] == "password" and form["password"] != LOG_IN["password"]:
            return _refused("invalid-grant", 400)
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.live:
                self.live.clear()
                return _refused("invalid-grant", 400)
            self.live.discard(str(form["refresh_token"]))
        refresh = uuid4().hex
        self.live.add(refresh)
        told = {"access_token": self.issuer.token(self.user), "expires_in": self.token_seconds, "token_type": "Bearer"}
        newer = {} if self.is_old else {"refresh_expires_in": 86400, "session_id": str(uuid4())}
        return JSONResponse({**told, "refresh_token": refresh, **newer})

    async def revoke(self, request: Request) -> Response:
        self.live.discard(str((await request.form())["token"]))
        return Response()

    async def me(self, request: Request) -> Response:
        return JSONResponse({"id": str(self.user.id), "token": request.headers["authorization"]})


def _refused(slug: str, status: int) -> Response:
    told = {
        "type": f"/problems/{slug}",
        "title": slug,
        "status": status,
        "detail": slug,
        "instance": "",
        "trace_id": "",
    }
    return JSONResponse(told, status, media_type="application/problem+json")


@pytest.fixture
async def identity(issuer: Issuer) -> AsyncIterator[Identity]:
    async with _identity(issuer) as one:
        yield one


@asynccontextmanager
async def _identity(issuer: Issuer) -> AsyncIterator[Identity]:
    one, app = Identity(issuer), FastAPI(openapi_url=None)
    for path, method in (("token", one.token), ("revoke", one.revoke), ("me", one.me)):
        app.router.add_route(f"/api/v1/auth/{path}", method, methods=["GET", "POST"])
    async with served(app) as one.url:
        yield one


@dataclass
class Browser:
    """A browser: it keeps the cookie, and says where a request came from."""

    gateway: Gateway
    cookie: str = ""

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {**OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookie:
            sent["cookie"] = self.cookie
        answer = await self.gateway.as_token(None).request(method, path, json=body, headers=sent)
        if (told := answer.headers.get("set-cookie")) is not None:
            morsel = next(iter(SimpleCookie(told).values()))
            self.cookie = f"{morsel.key}={morsel.value}" if morsel.value else ""
        return answer

    async def log_in(self) -> Any:
        return await self.send("POST", SESSION, LOG_IN)


@pytest.fixture
async def browser(start: Start, identity: Identity, sales: Scripted) -> Browser:
    return Browser(await start({"identity": identity.url, "sales": sales.url}))


async def test_a_page_logs_in_and_never_has_a_token(browser: Browser, identity: Identity, sales: Scripted) -> None:
    answer = await browser.log_in()
    assert (answer.status, answer.headers["location"]) == (201, SESSION)
    assert answer.json["user"]["id"] == str(identity.user.id)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("crm=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    told = dict((await browser.send("POST", "/api/v1/leads/echo", {})).json["headers"])
    assert told["authorization"].startswith("Bearer ")
    assert "cookie" not in told
    again = await browser.send("GET", SESSION)
    assert (again.status, again.json["id"]) == (200, answer.json["id"])
    assert "access_token" not in again.body.decode()


async def test_the_database_has_no_token_and_no_secret(
    browser: Browser, identity: Identity, database: ServiceDatabase
) -> None:
    await browser.log_in()
    conn = await asyncpg.connect(database.url)
    row = await conn.fetchrow("select * from browser_session")
    await conn.close()
    stored = b"".join(value for value in row.values() if isinstance(value, bytes))
    (refresh,) = identity.live
    assert refresh.encode() not in stored
    assert browser.cookie.partition("=")[2].encode() not in stored


async def test_over_https_the_cookie_is_bound_to_the_host(start: Start, identity: Identity) -> None:
    browser = Browser(await start({"identity": identity.url}, CRM_TRUSTED_PROXIES="127.0.0.1"))
    answer = await browser.send("POST", SESSION, LOG_IN, x_forwarded_proto="https")
    assert answer.headers["set-cookie"].startswith("__Host-crm=")
    assert answer.headers["set-cookie"].endswith("; SameSite=Strict; Secure")
    # What another host of the domain could set is not taken.
    browser.cookie = browser.cookie.removeprefix("__Host-")
    assert (await browser.send("GET", SESSION, x_forwarded_proto="https")).status == 401


async def test_in_clear_text_only_this_machine_logs_in(browser: Browser) -> None:
    answer = await browser.send("POST", SESSION, LOG_IN, host="crm.example.com")
    assert (answer.status, answer.problem) == (403, "encryption-required")


async def test_a_proxy_that_calls_itself_localhost_does_not_make_a_network_safe(browser: Browser) -> None:
    answer = await browser.send("POST", SESSION, LOG_IN, origin="http://crm.example.com")
    assert (answer.status, answer.problem) == (403, "encryption-required")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "", "origin": "https://evil.example.com"},
    ],
)
@pytest.mark.parametrize("path", [SESSION, "/api/v1/leads/echo"])
async def test_other_sites_change_nothing(
    browser: Browser, sales: Scripted, headers: dict[str, str], path: str
) -> None:
    await browser.log_in()
    sales.seen.clear()
    answer = await browser.send("POST", path, {}, **headers)
    assert (answer.status, answer.problem) == (403, "cross-site-request")
    assert sales.seen == []


async def test_a_change_needs_a_header_of_our_own(browser: Browser) -> None:
    await browser.log_in()
    sent = {"cookie": browser.cookie, "sec-fetch-site": "same-origin"}
    for method, path in (("POST", "/api/v1/leads/echo"), ("DELETE", SESSION)):
        answer = await browser.gateway.as_token(None).request(method, path, headers=sent)
        assert (answer.status, answer.problem) == (403, "cross-site-request")
    assert (await browser.send("GET", SESSION)).status == 200


async def test_an_older_browser_is_known_by_its_origin(browser: Browser) -> None:
    host = browser.gateway.base_url.removeprefix("http://")
    sent = {"origin": f"http://{host}", "crm-csrf": "1"}
    answer = await browser.gateway.as_token(None).request("POST", SESSION, json=LOG_IN, headers=sent)
    assert answer.status == 201


async def test_a_wrong_password_says_what_identity_says(browser: Browser) -> None:
    answer = await browser.send("POST", SESSION, {**LOG_IN, "password": "wrong"})
    assert (answer.status, answer.problem) == (400, "invalid-grant")
    assert browser.cookie == ""


async def test_twenty_tabs_cause_one_refresh(start: Start, identity: Identity, sales: Scripted) -> None:
    """The tabs are on two gateways, and the access token has expired."""
    both = [Browser(await start({"identity": identity.url, "sales": sales.url})) for _ in range(2)]
    identity.token_seconds = 1
    await both[0].log_in()
    both[1].cookie = both[0].cookie
    identity.token_seconds = 600
    answers = await asyncio.gather(*(both[at % 2].send("GET", "/api/v1/leads/small") for at in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert identity.grants == ["password", "refresh_token"]
    assert len(identity.live) == 1


async def test_a_caller_that_hangs_up_does_not_lose_the_session(browser: Browser, identity: Identity) -> None:
    identity.token_seconds = 1
    await browser.log_in()
    identity.token_seconds, identity.hold = 600, asyncio.Event()
    leaving = asyncio.create_task(browser.send("GET", SESSION))
    async with asyncio.timeout(120):
        while len(identity.grants) < 2:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.005)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    identity.hold.set()
    assert (await browser.send("GET", SESSION)).status == 200
    assert identity.grants == ["password", "refresh_token"]


async def test_a_session_that_identity_ended_is_over(browser: Browser, identity: Identity) -> None:
    identity.token_seconds = 1
    await browser.log_in()
    identity.live.clear()
    answer = await browser.send("GET", "/api/v1/leads/small")
    assert (answer.status, answer.problem) == (401, "session-ended")
    assert browser.cookie == "", "the browser is told to forget it"


async def test_identity_away_does_not_end_a_session(browser: Browser, identity: Identity) -> None:
    identity.token_seconds = 0
    await browser.log_in()
    identity.away = True
    assert (await browser.send("GET", "/api/v1/leads/small")).status == 503
    identity.away, identity.token_seconds = False, 600
    assert (await browser.send("GET", "/api/v1/leads/small")).status == 200


async def test_while_identity_is_away_a_token_serves_until_it_expires(browser: Browser, identity: Identity) -> None:
    identity.token_seconds = int(keeping.EARLY.total_seconds()) - 1
    await browser.log_in()
    identity.away = True
    assert (await browser.send("GET", "/api/v1/leads/small")).status == 200


async def test_log_out_ends_the_session_on_every_gateway(
    start: Start, identity: Identity, sales: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = [Browser(await start({"identity": identity.url, "sales": sales.url})) for _ in range(2)]
    await here.log_in()
    there.cookie = here.cookie
    assert (await there.send("GET", "/api/v1/leads/small")).status == 200
    answer = await here.send("DELETE", SESSION)
    assert (answer.status, here.cookie, identity.live) == (204, "", set())
    async with asyncio.timeout(120):
        while (gone := await there.send("GET", "/api/v1/leads/small")).status in (200, 429):
            pass
    assert (gone.status, gone.problem) == (401, "session-ended")
    assert (await here.send("DELETE", SESSION)).status == 204


async def test_a_new_log_in_ends_the_session_before_it(browser: Browser, identity: Identity) -> None:
    await browser.log_in()
    (first,) = identity.live
    await browser.log_in()
    assert first not in identity.live
    assert len(identity.live) == 1


async def test_a_cookie_of_nobody_is_refused_and_a_token_counts_more(browser: Browser, issuer: Issuer) -> None:
    browser.cookie = f"crm={'x' * 43}"
    answer = await browser.send("GET", "/api/v1/leads/small")
    assert (answer.status, answer.problem) == (401, "session-ended")
    sent = {"cookie": f"crm={'x' * 43}", "authorization": f"Bearer {issuer.token(principal())}"}
    answer = await browser.gateway.as_token(None).request("POST", "/api/v1/leads/echo", json={}, headers=sent)
    assert answer.status == 201, "a program with a token is no browser"


async def test_a_service_that_knows_of_a_change_first_gets_another_token(
    start: Start, identity: Identity, sales: Scripted
) -> None:
    """It has refused the request without doing anything, so the gateway sends it again with a new token."""
    browser = Browser(await start({"identity": identity.url, "sales": sales.url}))
    await browser.log_in()
    sales.refused_tokens.add(f"Bearer {next(iter(browser.gateway.sessions._held.values()))[0].access_token}")
    answer = await browser.send("POST", "/api/v1/leads/echo", {"last_name": "Lovelace"})
    assert answer.status == 201
    assert identity.grants == ["password", "refresh_token"]
    assert sales.seen == ["POST /api/v1/leads/echo"] * 2


async def test_a_request_waits_for_a_slow_identity_for_some_seconds_only(
    browser: Browser, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.token_seconds = 0
    await browser.log_in()
    identity.token_seconds, identity.hold = 600, asyncio.Event()
    with monkeypatch.context() as patched:
        patched.setattr(keeping, "PATIENCE_SECONDS", 0.05)
        answer = await browser.send("GET", "/api/v1/leads/small")
    assert (answer.status, answer.problem) == (504, "deadline-exceeded")
    identity.hold.set()
    assert (await browser.send("GET", "/api/v1/leads/small")).status == 200
    assert identity.grants == ["password", "refresh_token"]


async def test_a_session_survives_a_refresh_at_the_release_before(browser: Browser, identity: Identity) -> None:
    identity.token_seconds = 0
    session = (await browser.log_in()).json
    identity.is_old = True
    for _ in range(2):
        answer = await browser.send("GET", SESSION)
        assert (answer.status, answer.json["id"], answer.json["expires_at"]) == (
            200,
            session["id"],
            session["expires_at"],
        )
    assert identity.grants == ["password", "refresh_token", "refresh_token"]
    assert (await browser.send("POST", SESSION, LOG_IN)).status == 502, "without them there is no session to keep"


async def test_a_file_begins_with_a_token_that_lasts(start: Start, identity: Identity, sales: Scripted) -> None:
    browser = Browser(await start({"identity": identity.url, "sales": sales.url}))
    identity.token_seconds = 240
    await browser.log_in()
    assert (await browser.send("GET", "/api/v1/leads/small")).status == 200
    assert identity.grants == ["password"]
    await browser.send("POST", "/api/v1/leads/import", {})
    assert identity.grants == ["password", "refresh_token"]
