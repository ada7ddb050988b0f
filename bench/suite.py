"""The suite under measurement: a separate one in a temporary home, started with the usual command."""

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from bench.driver import LoadFailed
from crm_kit.network.postgres import Target

CHECKOUT = Path(__file__).parents[1]
PRINCIPALS = 50
ADMINISTRATOR = "bench@example.org"
RENEW_SECONDS = 300
BACKLOG_SECONDS = 10
"""How long the last consumer may still be busy after a run."""

FOLLOWERS = {"activities": "record_ref", "marketing": "lead_ref", "insights": "lead_ref"}
"""The consumers of leads' events: a table of copies in each service's database."""
CREATED = "select entity_id from outbox where type = 'crm.sales.lead.created.v1'"
UNKNOWN = """
select lead from unnest($1::uuid[]) as lead where not exists (select from {} c where c.id = lead and c.version > 0)
"""

OWNED = ("lead", "opportunity", "quote", "order", "invoice", "account", "contact", "task")
UNOWNED = ("sales_stage", "exchange_rate", "sales_settings", "product", "price_list", "price_list_item")


@dataclass
class Suite:
    """A running suite as reported by `crm status --json`, and its users."""

    status: dict[str, Any]
    home: Path
    start_seconds: float
    password: str
    frozen: list[int] = field(default_factory=list)
    followers: dict[str, str] = field(default_factory=lambda: dict(FOLLOWERS))
    _roles: dict[str, str] = field(default_factory=dict)
    _people: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _tokens: dict[str, tuple[float, list[str]]] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        return str(self.status["gateway_url"])

    @property
    def services(self) -> list[str]:
        """The names of all services, including the gateway."""
        return sorted({one["name"].partition("-")[0] for one in self.status["services"]})

    def process(self, name: str) -> dict[str, Any]:
        """Return one process, such as `sales-api`."""
        found: dict[str, Any] = next(one for one in self.status["services"] if one["name"] == name)
        return found

    def workers(self, *, but: str, also: str = "") -> list[str]:
        """Return the names of all worker processes except these."""
        names = [one["name"] for one in self.status["services"] if one["name"].endswith("-worker")]
        return [name for name in names if name not in (but, also)]

    def database(self, service: str) -> str:
        """Return the URL of a service's database, for the operator."""
        return f"{self.status['database_url'].rpartition('/')[0]}/{self.status['instance']}_crm_{service}"

    async def owners(self, depth: str) -> list[str]:
        """Return the ids of the users whose rights have this depth."""
        await self.tokens(depth)
        return [person for person, _ in self._people[depth]]

    async def tokens(self, depth: str) -> list[str]:
        """Return fresh tokens of fifty users with one role: every privilege on every entity at this depth."""
        issued, tokens = self._tokens.get(depth, (0.0, []))
        if time.monotonic() - issued > RENEW_SECONDS or not tokens:
            async with aiohttp.ClientSession(self.gateway) as session:
                if depth not in self._people:
                    self._people[depth] = await self._hire(session, depth)
                tokens = [await _log_in(session, email, self.password) for _, email in self._people[depth]]
            self._tokens[depth] = time.monotonic(), tokens
        return tokens

    async def boss(self) -> str:
        """Return a fresh token of the administrator."""
        async with aiohttp.ClientSession(self.gateway) as session:
            return await _log_in(session, ADMINISTRATOR, self.password)

    async def _hire(self, session: aiohttp.ClientSession, depth: str) -> list[tuple[str, str]]:
        boss = await _log_in(session, ADMINISTRATOR, self.password)
        privileges = ("create", "read", "write", "delete", "assign")
        grants = {entity: dict.fromkeys(privileges, depth) for entity in OWNED}
        grants |= {entity: dict.fromkeys(privileges, "organization") for entity in UNOWNED}
        role = await _post(
            session,
            boss,
            "/api/v1/security-roles",
            {"name": f"Bench {depth}", "privileges": grants},
        )
        people = []
        for number in range(PRINCIPALS):
            email = f"{depth}.{number}@example.org"
            user = await _post(
                session,
                boss,
                "/api/v1/users",
                {"email": email, "name": f"Person {number}", "password": self.password, "role_ids": [role["id"]]},
            )
            people.append((user["id"], email))
        return people

    def freeze(self, services: Sequence[str]) -> None:
        """Freeze the processes of these services, to measure the suite without their work."""
        for name in services:
            self.frozen += [self.process(f"{name}-{role}")["pid"] for role in ("api", "worker")]
            self.followers.pop(name, None)
        for pid in self.frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the processes."""
        for pid in self.frozen:
            os.kill(pid, signal.SIGCONT)

    async def pid(self, name: str) -> int:
        """Return the pid of the process that has this name now. A dead process has been replaced by another."""
        environment = {**os.environ, "CRM_HOME": str(self.home), "CRM_GATEWAY_PORT": self.gateway.rpartition(":")[2]}
        status = json.loads(await crm(["status", "--json"], environment, may_fail=True))
        return next(int(one["pid"]) for one in status["services"] if one["name"] == name)

    async def settled(self) -> float:
        """Wait until no outbox row is pending and every consumer has handled every lead.

        Return the seconds. Raises after too long.
        """
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            sales, *followers = [
                await stack.enter_async_context(connected(self.database(service)))
                for service in ("sales", *self.followers)
            ]
            lacking: dict[str, list[UUID]] = {}
            while True:
                pending = await sales.fetchval("select count(*) from outbox where state = 'pending'")
                if not pending:
                    leads = [] if lacking else [row["entity_id"] for row in await sales.fetch(CREATED)]
                    for (service, table), follower in zip(self.followers.items(), followers, strict=True):
                        # Handled leads stay handled, so only the rest is queried again.
                        rows = await follower.fetch(UNKNOWN.format(table), lacking.get(service, leads))
                        lacking[service] = [row["lead"] for row in rows]
                took = time.monotonic() - started
                if not pending and not any(lacking.values()):
                    return took
                if took > 180:
                    unknown = max(map(len, lacking.values()), default=0)
                    raise LoadFailed(f"after {took:.0f} s {pending} events are not published and {unknown} not applied")
                await asyncio.sleep(0.1)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection as the operator."""
    connection = await Target.of(url).connect("bench")
    try:
        yield connection
    finally:
        await connection.close()


async def awaited(condition: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Wait for a change in a database. Raises after too long."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise LoadFailed(f"nothing came of it in {seconds:.0f} s")
        await asyncio.sleep(0.2)


async def _log_in(session: aiohttp.ClientSession, email: str, password: str) -> str:
    form = {"grant_type": "password", "username": email, "password": password}
    async with session.post("/api/v1/auth/token", data=form) as response:
        body = await response.json(content_type=None)
        if response.status != 200:
            raise LoadFailed(f"log-in of {email} answered {response.status}: {body}")
        return str(body["access_token"])


async def _post(session: aiohttp.ClientSession, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with session.post(path, json=body, headers={"Authorization": f"Bearer {token}"}) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        if response.status != 201:
            raise LoadFailed(f"POST {path} answered {response.status}: {answer}")
        return answer


async def crm(command: Sequence[str], environment: dict[str, str], *, may_fail: bool = False) -> str:
    """Run a `crm` command and return its output. Raises with the output if the command fails, unless it may.

    `crm status` fails while a process is not ready, but prints the status all the same.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crm_local", *command),
        cwd=CHECKOUT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0 and not may_fail:
        raise LoadFailed(f"crm {' '.join(command)} failed: {err.decode()[-2000:]}{out.decode()[-2000:]}")
    return out.decode()


@asynccontextmanager
async def suite(port: int) -> AsyncIterator[Suite]:
    """Start a suite. Stop it and delete its data at the end."""
    with tempfile.TemporaryDirectory(prefix="crm-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101  # PostgreSQL runs as another user, and has to get in
        password = secrets.token_urlsafe(16)
        environment = {
            **os.environ,
            "CRM_HOME": str(Path(folder) / "home"),
            # The bench freezes processes on purpose and for long.
            "CRM_LIVENESS_SECONDS": "0",
            "CRM_GATEWAY_PORT": str(port),
            "CRM_ADMIN_EMAIL": ADMINISTRATOR,
            "CRM_ADMIN_PASSWORD": password,
            "CRM_TOKENS_PER_ADDRESS": "100000",
        }
        await crm(["up", "--detach"], environment)
        try:
            # The first start creates the servers' data. The second start is the one that users wait for.
            await crm(["down"], environment)
            started = time.monotonic()
            await crm(["up", "--detach"], environment)
            seconds = time.monotonic() - started
            status = json.loads(await crm(["status", "--json"], environment))
            standing = Suite(status, Path(environment["CRM_HOME"]), seconds, password)
            try:
                yield standing
            finally:
                standing.thaw()
        finally:
            await crm(["down"], environment)
