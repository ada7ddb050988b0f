"""Restore to servers: databases from their dumps, queues of the broker, and the events that were in them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg

from crm_kit import clock
from crm_kit.broker.management import Management, vhost_of
from crm_kit.broker.publishing import Publisher
from crm_kit.network.postgres import Target
from crm_kit.operating import redelivery, subscribers, subscriptions
from crm_kit.operating.patterns import matches
from crm_kit.operating.redelivery import Listener
from crm_kit.operating.sending import send_again
from crm_kit.operating.subscriptions import KeptQueue, Subscriptions
from crm_kit.reconciling.restored import Suite
from crm_kit.schema.migrations import migrate
from crm_kit.store.database import Database
from crm_kit.together import together
from crm_local import broker, databases, entrypoints, parties
from crm_local.backup.manifest import Manifest
from crm_local.backup.retention import Retention
from crm_local.backup.tools import Tools
from crm_local.deployment import Deployment
from crm_local.suite import SERVICES, Service, database_name

STATISTICS = timedelta(seconds=10)
"""Maximum age of the broker's own statistics."""


class Occupied(Exception):
    """The target contains something already. The text says what."""


class Filling:
    """A restore into an empty deployment."""

    def __init__(
        self, deployment: Deployment, manifest: Manifest, place: Path, subscriptions_: Subscriptions | None
    ) -> None:
        self._deployment, self._manifest, self._place = deployment, manifest, place
        self._subscriptions = subscriptions_
        self._made: list[str] = []
        self._made_roles: list[str] = []
        self._made_vhost = False

    async def require_empty(self) -> None:
        """Check that the restore would overwrite nothing. Raises Occupied."""
        conn = await Target.of(self._deployment.backends.database_url).connect("crm backup")
        try:
            for service in SERVICES:
                name = database_name(self._deployment.instance, service)
                if not await conn.fetchval("select exists (select from pg_database where datname = $1)", name):
                    self._made.append(name)
                elif await _has_tables(self._deployment.database(service)):
                    raise Occupied(
                        f"the server already holds the database {name}: drop it, or choose another CRM_INSTANCE"
                    )
                if not await conn.fetchval("select exists (select from pg_roles where rolname = $1)", name):
                    self._made_roles.append(name)
        finally:
            await conn.close()
        await self._require_empty_vhost()

    async def _require_empty_vhost(self) -> None:
        backends = self._deployment.backends
        if not backends.amqp_management_url:
            return
        vhost = quote(vhost_of(backends.amqp_url), safe="")
        async with Management(backends.amqp_management_url) as management:
            self._made_vhost = await management.find(f"vhosts/{vhost}") is None
            if self._made_vhost:
                return
            held = [queue["name"] for queue in await management.get(f"queues/{vhost}") if queue.get("messages")]
        if held:
            raise Occupied(
                f"the vhost {vhost_of(backends.amqp_url)} holds messages ({', '.join(sorted(held)[:3])}): earlier"
                " events must not reach the restored suite; delete the vhost, or choose another"
            )

    async def fill(self, tools: Tools, server: int, jobs: int) -> bool:
        """Restore everything. Return whether the services have their own roles."""
        has_roles = await databases.make(self._deployment, SERVICES)
        self._deployment = self._deployment.with_roles(has_roles)
        turn = asyncio.Semaphore(max(1, jobs))
        files = {kept.service: self._place / kept.file for kept in self._manifest.databases}
        services = [service for service in SERVICES if service.name in files]

        async def one(service: Service) -> None:
            async with turn:
                url = self._deployment.own_database(service)
                await tools.restore(url, files[service.name], jobs=jobs, server=server)
                about = entrypoints.definition(service)
                await asyncio.to_thread(migrate, about.migrations, url, about.metadata)
                print(f"restored  {service.name}", flush=True)

        await together(one(service) for service in services)
        await self._declare()
        await self._send(services)
        await self._begin_epochs(services)
        identity = next(service for service in services if service.name == "identity")
        ended = await entrypoints.end_sessions(self._deployment.own_database(identity))
        print(f"ended     {ended} sessions", flush=True)
        return has_roles

    async def _declare(self) -> None:
        backends, kept = self._deployment.backends, self._subscriptions
        if kept is not None and backends.amqp_management_url:
            await subscriptions.make_users(kept, backends.amqp_url, backends.amqp_management_url)
        await broker.declare(SERVICES, self._deployment.password_of, backends)
        if kept is not None and backends.amqp_management_url:
            await subscriptions.make_queues(kept, backends.amqp_url)
            async with Management(backends.amqp_management_url) as management:
                await subscribers.bind_all(management, backends.amqp_url)
            for queue in kept.queues:
                print(f"declared  {queue.name}", flush=True)

    async def _send(self, services: Sequence[Service]) -> None:
        """Send the events that were in queues again: to subscribers directly, to the services by their relays."""
        async with AsyncExitStack() as stack:
            conns = {service.name: await self._connect(stack, service) for service in services}
            producers = {service.name: await self._connect(stack, service) for service in services}
            for conn in producers.values():
                await redelivery.take_up(conn)
            for queue in self._subscriptions.queues if self._subscriptions else ():
                await self._refill(queue, services, conns)
            retention = Retention.of_environment(self._deployment)
            since = retention.of_backup(self._manifest).keys_since(datetime.fromisoformat(self._manifest.made_at))
            for name, producer in producers.items():
                listeners = {
                    service.name: Listener(conns[service.name], entrypoints.consumers(service)) for service in services
                }
                again = await redelivery.resend(producer, name, listeners, since=since)
                if again.count:
                    print(f"to send   {again.count} events of {name} that were in queues", flush=True)
                if warning := retention.short_for(again, clock.now()):
                    print(warning, flush=True)

    async def _begin_epochs(self, services: Sequence[Service]) -> None:
        """Begin an epoch of each service, so that subscribers can distinguish new events from those of the lost time."""
        reason = f"restored from the backup of {self._manifest.made_at}"
        async with Suite.of(parties.of(self._deployment)) as suite:
            for service in services:
                epoch = await suite.begin_epoch(service.name, reason=reason, tell=lambda _: None)
                print(f"epoch     {epoch.number} of {service.name}", flush=True)

    async def _connect(self, stack: AsyncExitStack, service: Service) -> asyncpg.Connection:
        conn = await Target.of(self._deployment.own_database(service)).connect("crm backup")
        stack.push_async_callback(conn.close)
        await conn.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        return conn

    async def _refill(
        self, queue: KeptQueue, services: Sequence[Service], conns: dict[str, asyncpg.Connection]
    ) -> None:
        """Send a subscriber the events of its queue, and those that arrived after the queue was read."""
        assert self._subscriptions is not None
        heard = [(conns[service.name], await _types(conns[service.name], queue.patterns)) for service in services]
        times = await redelivery.backlog_since(heard, queue.messages, self._subscriptions.read_at - STATISTICS)
        publisher = Publisher(self._deployment.backends.amqp_url, name="crm restore")
        sent = 0
        try:
            for service, since in zip(services, times, strict=True):
                if since is not None:
                    sent += await self._replay(publisher, service, queue, since)
        finally:
            await publisher.close()
        print(f"sent      {sent} events to {queue.name}", flush=True)

    async def _replay(self, publisher: Publisher, service: Service, queue: KeptQueue, since: datetime) -> int:
        db = Database(self._deployment.own_database(service), pool_size=1, application_name="crm restore")
        try:
            async with db.autocommit() as conn:
                # The clock of the machine that made the backup may have been ahead.
                until = clock.now() + timedelta(days=1)
                return await send_again(
                    conn, publisher, service.name, queue.name, queue.patterns, since=since, until=until
                )
        finally:
            await db.dispose()

    async def undo(self) -> None:
        """Remove what this restore made. What existed before stays and is empty, as it was."""
        backends = self._deployment.backends
        conn = await Target.of(backends.database_url).connect("crm backup")
        try:
            for name in self._made:
                await databases.run(conn, "drop database if exists %I with (force)", name)
            for name in self._made_roles:
                if not await conn.fetchval("select exists (select from pg_database where datname = $1)", name):
                    await databases.run(conn, "drop role if exists %I", name)
        finally:
            await conn.close()
        if self._made_vhost:
            async with Management(backends.amqp_management_url) as management:
                await management.delete(f"vhosts/{quote(vhost_of(backends.amqp_url), safe='')}", missing_ok=True)


async def _types(conn: asyncpg.Connection, patterns: Sequence[str]) -> list[str]:
    types = [row[0] for row in await conn.fetch("select distinct type from outbox")]
    return [type_ for type_ in types if any(matches(pattern, type_) for pattern in patterns)]


_HAS_TABLES = (
    "select exists (select from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace)"
)


async def _has_tables(url: str) -> bool:
    conn = await Target.of(url).connect("crm backup")
    try:
        return bool(await conn.fetchval(_HAS_TABLES))
    finally:
        await conn.close()
