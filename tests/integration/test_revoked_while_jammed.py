"""Revoked access is refused by every service while the inboxes of all services are blocked.

The table that stores received events is locked, so no events of other services can be handled. The lock is released
only after all services have refused. The revocation has therefore overtaken the events, however long it took.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from crm_identity.security_role.domain import DEFAULT_ROLES
from crm_local.servers import Servers
from crm_local.suite import in_database
from tests.integration.suite import Person, Suite

SALESPERSON = str(next(role.id for role in DEFAULT_ROLES if role.name == "Salesperson"))
JAMMED = {
    "sales": ("campaign_ref", "campaigns"),
    "activities": ("record_ref", "leads"),
    "marketing": ("lead_ref", "leads"),
    "service": ("customer_ref", "accounts"),
    "insights": ("lead_ref", "leads"),
}
"""The table in which each service stores events, and a collection of another service whose events it receives."""
ANNOUNCED = {
    "campaigns": {"name": "Autumn"},
    "leads": {"topic": "Card", "last_name": "Hopper"},
    "accounts": {"name": "Harbour & Sons"},
}
DOORS = {
    "sales": "/leads?limit=1",
    "activities": "/tasks?limit=1",
    "marketing": "/campaigns?limit=1",
    "service": "/cases?limit=1",
    "insights": "/funnel",
    "identity": "/auth/me",
}
PASSWORD = "a password for this test only"
WAYS: dict[str, tuple[str, str, dict[str, object] | None]] = {
    "disabled": ("POST", "/users/{}/disable", None),
    "without a role": ("PATCH", "/users/{}", {"role_ids": []}),
    "with another password": ("POST", "/users/{}/reset-password", {"password": "another one, of this test, too"}),
}


async def until(met: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(120):
            while not await met():  # noqa: ASYNC110  # what it looks at tells nobody of its changes
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"never came about: {what}")


class Doors:
    """The API of each service, and the gateway."""

    def __init__(self, suite: Suite, session: aiohttp.ClientSession) -> None:
        urls = {one["name"].removesuffix("-api"): one["url"] for one in suite.status["services"]}
        self.urls = {name: f"{urls[name]}/api/v1{path}" for name, path in DOORS.items()}
        self.urls["gateway"] = f"{suite.gateway}/api/v1/leads?limit=1"
        self._session = session

    async def knock(self, door: str, token: str) -> str | int:
        """Return the kind of refusal, or the status of another answer."""
        headers = {"authorization": f"Bearer {token}"}
        async with self._session.get(self.urls[door], headers=headers) as answer:
            if answer.status != 401:
                return answer.status
            told: dict[str, str] = json.loads(await answer.text())
            return told["type"].removeprefix("/problems/")


@asynccontextmanager
async def jam(suite: Suite, servers: Servers) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """Lock the table of received events until the end of the block."""
    async with AsyncExitStack() as stack:
        connections = {}
        for service, (table, _) in JAMMED.items():
            url = in_database(servers.database_url, f"{_instance(suite)}_crm_{service}")
            connections[service] = conn = await asyncpg.connect(url)
            stack.push_async_callback(conn.close)
            await stack.enter_async_context(conn.transaction())
            # Reads continue, because an API may need them to answer.
            await conn.execute(f"lock table {table} in exclusive mode")
        yield connections


async def test_a_revocation_overtakes_the_jammed_inbox_of_every_service(
    suite: Suite, servers: Servers, administrator: Person
) -> None:
    async with AsyncExitStack() as stack:
        doors = Doors(suite, await stack.enter_async_context(aiohttp.ClientSession()))
        tokens, ids = {}, {}
        for way in WAYS:
            email = f"{secrets.token_hex(6)}@example.org"
            fields = {"email": email, "name": "Grace", "password": PASSWORD, "role_ids": [SALESPERSON]}
            ids[way] = (await administrator.send("POST", "/users", fields, status=201))["id"]
            person = await Person.log_in(suite, email, PASSWORD)
            tokens[way] = str(person.session.headers["Authorization"]).removeprefix("Bearer ")
            await person.close()
            for door in doors.urls:
                # A service must know the user before it can receive the user's deletion.
                assert isinstance(await doors.knock(door, tokens[way]), int), (door, way)

        async with jam(suite, servers) as connections:
            made = {}
            for collection, body in ANNOUNCED.items():
                # The new records do not arrive anywhere yet, so there is nothing to wait for.
                administrator.after = ""
                made[collection] = (await administrator.send("POST", f"/{collection}", body, status=201))["id"]
            for service, conn in connections.items():
                table = JAMMED[service][0]

                async def stuck(conn: asyncpg.Connection = conn, table: str = table) -> bool:
                    waiting = "select exists (select from pg_locks where not granted and relation = $1::text::regclass)"
                    return bool(await conn.fetchval(waiting, table))

                await until(stuck, f"{service} stands before its table {table}")
            for way, (method, path, sent) in WAYS.items():
                administrator.after = ""
                headers = {"If-Match": "*"} if method == "PATCH" else None
                await administrator.send(method, path.format(ids[way]), sent, headers=headers)
            for way, token in tokens.items():
                for door in doors.urls:

                    async def refused(door: str = door, token: str = token) -> bool:
                        return await doors.knock(door, token) == "token-superseded"

                    await until(refused, f"{door} refuses who is {way}")
            for service, conn in connections.items():
                table, collection = JAMMED[service]
                assert await _kept(conn, table, made[collection]) == 0, "it was jammed all the time"

        for service, (table, collection) in JAMMED.items():
            url = in_database(servers.database_url, f"{_instance(suite)}_crm_{service}")
            conn = await asyncpg.connect(url)
            stack.push_async_callback(conn.close)

            async def arrived(
                conn: asyncpg.Connection = conn, table: str = table, wanted: str = made[collection]
            ) -> bool:
                return await _kept(conn, table, wanted) == 1

            await until(arrived, f"{service} goes on")


def _instance(suite: Suite) -> str:
    return str(json.loads((Path(suite.environment["CRM_HOME"]) / "kept.json").read_text())["instance"])


async def _kept(conn: asyncpg.Connection, table: str, wanted: str) -> int:
    return int(await conn.fetchval(f"select count(*) from {table} where id = $1::text::uuid", wanted))
