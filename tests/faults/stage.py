"""A part of the suite on servers that can be killed: sales and activities with databases, queues and processes."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from crm_activities.app import SERVICE as ACTIVITIES
from crm_activities.consumers import CONSUMERS as ACTIVITIES_CONSUMERS
from crm_identity.consumers import CONSUMERS as IDENTITY_CONSUMERS
from crm_kit.clock import monotonic
from crm_kit.operating import topology
from crm_kit.schema.setup import prepare
from crm_kit.testing.databases import settings_for
from crm_kit.testing.issuer import Issuer
from crm_local import ports
from crm_local.suite import in_database, in_vhost
from crm_sales.app import SERVICE as SALES
from crm_sales.consumers import CONSUMERS as SALES_CONSUMERS

from .machines import Machines
from .processes import Member, Nursery

SERVICES = {"sales": SALES, "activities": ACTIVITIES}
ROUTING_KEYS = {
    "sales": SALES_CONSUMERS.routing_keys(),
    "activities": ACTIVITIES_CONSUMERS.routing_keys(),
    # Identity does not run here, but other services ask its queue for snapshots when they are new.
    "identity": IDENTITY_CONSUMERS.routing_keys(),
}

# What sales and activities would have received in identity's first events.
ORGANIZATION = """
insert into organization_ref (id, version, deleted, name, time_zone, base_currency, country, language)
values ($1, 1, false, 'The Bank', 'Europe/Berlin', 'EUR', 'DE', 'en')
"""
TEMPLATE = "made_ready_"
# The numbers that a sequence has drawn ahead are in the log of the template, not of its copy. After a crash the copy
# would draw them again.
AS_DRAWN = """
do $$ declare s record; begin
  for s in select schemaname, sequencename, last_value from pg_sequences where last_value is not null loop
    perform setval(format('%I.%I', s.schemaname, s.sequencename)::regclass, s.last_value);
  end loop;
end $$
"""
LOG_BYTES = 100_000_000


@dataclass
class Stage:
    """A run of this part: fresh databases, a fresh virtual host, and the requested processes."""

    machines: Machines
    nursery: Nursery
    issuer: Issuer
    directory: Path
    name: str = field(default_factory=lambda: f"faults_{secrets.token_hex(4)}")
    members: list[Member] = field(default_factory=list)

    @property
    def amqp_url(self) -> str:
        """A URL of the virtual host whose user has all rights in it."""
        return in_vhost(self.machines.amqp_url, self.name)

    def database(self, service: str) -> str:
        """Return the name of a service's database."""
        return f"{self.name}_{service}"

    def database_url(self, service: str) -> str:
        """Return the URL of a service's database."""
        return in_database(self.machines.database_url, self.database(service))

    @asynccontextmanager
    async def connect(self, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Open a connection to a service's database."""
        conn = await asyncpg.connect(self.database_url(service))
        try:
            yield conn
        finally:
            await conn.close()

    async def set(self, delivery_limit: int = topology.DELIVERY_LIMIT) -> None:
        """Create databases and queues. No process runs yet."""
        operator = await asyncpg.connect(self.machines.database_url)
        try:
            for service in SERVICES:
                await operator.execute(f'create database "{self.database(service)}" template "{TEMPLATE}{service}"')
        finally:
            await operator.close()
        caps = topology.Caps(delivery_limit=delivery_limit, log_bytes=LOG_BYTES)
        await topology.apply(ROUTING_KEYS, self.amqp_url, self.machines.management_url, caps=caps)

    def member(self, service: str, role: str, *, module: str = "", number: int = 1, **environment: str) -> Member:
        """Return a process of a service that is not started. ``module`` replaces that of the service."""
        name = f"{service}-{role}-{number}"
        told = {
            "CRM_SERVICE": service,
            "CRM_ROLE": role,
            "CRM_INSTANCE": self.name,
            "CRM_SECRET": "a secret that only tests know",
            "CRM_PORT": str(ports.choose(1)[0]),
            "CRM_JWKS_URL": self.issuer.jwks_url,
            "DATABASE_URL": self.database_url(service),
            "AMQP_URL": self.amqp_url,
            # As in production. This is about load; contracts have tests of their own.
            "CRM_VALIDATE_EVENTS": "0",
            **environment,
        }
        own = f"crm_{service}.{'main' if role == 'api' else 'worker'}"
        member = Member(self.nursery, name, module or own, told, self.directory / f"{self.name}-{name}.log")
        self.members.append(member)
        return member

    async def started(self, *kinds: tuple[str, str], **environment: str) -> list[Member]:
        """Start processes of these (service, role) and wait until they are ready."""
        members = [
            self.member(service, role, number=number, **environment) for number, (service, role) in enumerate(kinds, 1)
        ]
        await asyncio.gather(*(member.start() for member in members))
        return members

    async def struck(self) -> None:
        """Kill the remaining processes and remove everything."""
        for member in self.members:
            if member.alive:
                await member.kill()
        await self.machines.postgres.mend()
        await self.machines.rabbitmq.mend()
        operator = await asyncpg.connect(self.machines.database_url)
        try:
            for service in SERVICES:
                await operator.execute(f'drop database if exists "{self.database(service)}" with (force)')
        finally:
            await operator.close()
        async with topology.Management(self.machines.management_url) as management:
            await management.delete(f"vhosts/{self.name}", missing_ok=True)


async def make_templates(machines: Machines) -> None:
    """Migrate and seed each service's database once. Each stage copies them."""
    for name, service in SERVICES.items():
        operator = await asyncpg.connect(machines.database_url)
        await operator.execute(f'create database "{TEMPLATE}{name}"')
        await operator.close()
        url = urlunsplit(urlsplit(machines.database_url)._replace(path=f"/{TEMPLATE}{name}"))
        await asyncio.to_thread(prepare, service, settings_for(service, url))
        conn = await asyncpg.connect(url)
        await conn.execute(ORGANIZATION, uuid4())
        await conn.execute(AS_DRAWN)
        await conn.close()


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 120, every: float = 0.05
) -> float:
    """Wait for an effect of another process or server. Return the seconds. Fail with ``what`` in the message."""
    began = monotonic()
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return monotonic() - began
        assert monotonic() - began < seconds, f"after {seconds:.0f} s still not: {what}"
        await asyncio.sleep(every)


@asynccontextmanager
async def a_stage(
    machines: Machines, nursery: Nursery, issuer: Issuer, directory: Path, *, delivery_limit: int = 20
) -> AsyncIterator[Stage]:
    """Yield a stage, and remove it at the end."""
    async with AsyncExitStack() as stack:
        stage = Stage(machines, nursery, issuer, directory)
        stack.push_async_callback(stage.struck)
        await stage.set(delivery_limit)
        yield stage
