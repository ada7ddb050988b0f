"""The users of the attack: one at work, and several hostile or careless ones."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp

from crm_kit.clock import monotonic
from tests.integration.suite import ADMINISTRATOR, Person, Suite

LEADS = 2_000
NAMES = ("Miller", "Smith", "Jones", "Garcia")
RENEW_SECONDS = 240
"""Well below the ten minutes of a token."""


class Actor:
    """A user with a separate address, who logs in again before the token expires."""

    def __init__(self, gateway: str, email: str, password: str, address: str) -> None:
        self.gateway, self.email, self.password = gateway, email, password
        self._form = {"grant_type": "password", "username": email, "password": password}
        self._token, self._since, self._logging_in = "", 0.0, asyncio.Lock()
        self.address = address
        self.session = aiohttp.ClientSession(
            gateway,
            timeout=aiohttp.ClientTimeout(total=120),
            connector=aiohttp.TCPConnector(local_addr=(address, 0)),
        )

    async def token(self) -> str:
        """Return a token that is valid for some more minutes."""
        async with self._logging_in:
            if not self._token or monotonic() - self._since > RENEW_SECONDS:
                async with self.session.post("/api/v1/auth/token", data=self._form) as answer:
                    assert answer.status == 200, await answer.text()
                    self._token = f"Bearer {(await answer.json())['access_token']}"
                    self._since = monotonic()
        return self._token

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """Send a request below /api/v1. Return status and body."""
        headers = {"Authorization": await self.token(), **options.pop("headers", {})}
        async with self.session.request(method, f"/api/v1{path}", headers=headers, **options) as answer:
            return answer.status, await answer.read()

    async def close(self) -> None:
        await self.session.close()


@dataclass
class Cast:
    """All users, and the records of the others that they know."""

    suite: Suite
    normal: Actor
    roleless: Actor
    careless: Actor
    """A user with the same role as the normal user."""
    importer: Actor
    stranger: Actor
    """A client without a password, which never logs in."""
    lead: str
    account: str

    @property
    def address(self) -> tuple[str, int]:
        """Return the address of the gateway."""
        host, _, port = self.suite.gateway.removeprefix("http://").partition(":")
        return host, int(port)


async def gather(suite: Suite, stack: AsyncExitStack) -> Cast:
    """Create the users, and enough leads to make slow requests slow."""
    administrator = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
    stack.push_async_callback(administrator.close)
    roles = (await administrator.send("GET", "/security-roles?limit=200"))["items"]
    role = next(one["id"] for one in roles if one["name"] == "Sales manager")
    run, addresses = secrets.token_hex(4), count(11)

    async def hire(name: str, role_ids: list[str]) -> Actor:
        email, password = f"{name}.{run}@example.org", secrets.token_urlsafe(16)
        body = {"email": email, "name": name.title(), "password": password, "role_ids": role_ids}
        await administrator.send("POST", "/users", body, status=201)
        # Linux answers to all of 127/8, so throttling by address counts each user separately.
        actor = Actor(suite.gateway, email, password, f"127.0.0.{next(addresses)}")
        stack.push_async_callback(actor.close)
        return actor

    cast = Cast(
        suite,
        await hire("normal", [role]),
        await hire("roleless", []),
        await hire("careless", [role]),
        await hire("importer", [role]),
        await hire("stranger", []),
        lead="",
        account="",
    )
    lines = "".join(f"Offer {n},{NAMES[n % 4]} {n // 4},p{n}@example.org\n" for n in range(LEADS))
    await imported(administrator, "topic,last_name,email\n" + lines)
    cast.lead = (
        await administrator.send("POST", "/leads", {"topic": "Gold card", "last_name": "Lovelace"}, status=201)
    )["id"]
    cast.account = (await administrator.send("POST", "/accounts", {"name": "Analytical Engines Ltd"}, status=201))["id"]
    return cast


async def imported(person: Person, text: str) -> None:
    """Import leads and wait until the job is finished."""
    form = aiohttp.FormData()
    form.add_field("file", text.encode(), filename="leads.csv", content_type="text/csv")
    await person.send("POST", "/leads/import", form, status=202)
    place = person.location.removeprefix("/api/v1")
    async with asyncio.timeout(120):
        while (await person.send("GET", place))["status"] != "completed":  # noqa: ASYNC110  # a job, which only tells when asked
            await asyncio.sleep(0.1)
