"""The restore of some services of a suite whose other services keep their data.

Databases are filled next to those in use, and replace them when they are complete. Then the other services follow: they
take up the new epoch, send again the events that the restored services lack, and copies are rebuilt.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import asyncpg

from crm_contracts.envelope import source_of
from crm_kit import clock
from crm_kit.events.epochs import Epoch
from crm_kit.network.postgres import Target
from crm_kit.operating import redelivery
from crm_kit.operating.redelivery import Listener
from crm_kit.reconciling.commands import follow, say
from crm_kit.reconciling.restored import Suite
from crm_kit.schema.migrations import migrate
from crm_kit.together import together
from crm_local import databases, entrypoints, parties
from crm_local.backup.manifest import BadBackup, Manifest
from crm_local.backup.retention import Retention
from crm_local.backup.tools import Tools
from crm_local.deployment import Deployment
from crm_local.suite import SERVICES, Service, database_name

_NAME_BYTES = 63
"""Maximum length of a database name in PostgreSQL, which truncates longer ones."""

_EXISTS = "select exists (select from pg_database where datname = $1)"
_USERS = """
select distinct coalesce(nullif(application_name, ''), 'a session') from pg_stat_activity
where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid() order by 1
"""


class InUse(Exception):
    """A database to be replaced is in use. The text says by whom."""


class Replacing:
    """A restore of some services, of which no process may run. The other services can run."""

    def __init__(self, deployment: Deployment, manifest: Manifest, place: Path, names: Sequence[str]) -> None:
        self._deployment, self._manifest, self._place = deployment, manifest, place
        self._services = [service for service in SERVICES if service.name in names]
        self._now = clock.now()
        self._cut = datetime.fromisoformat(manifest.made_at)
        usual = {service.name: database_name(deployment.instance, service) for service in self._services}
        self._usual = usual
        self._beside = {name: f"{database}_restoring" for name, database in usual.items()}
        self._before = {name: f"{database}_until_{self._now:%Y%m%d_%H%M%S}" for name, database in usual.items()}
        self._retention = Retention.of_environment(deployment)
        self._epochs: dict[str, Epoch] = {}
        self.done = False
        """Whether the databases of the backup are those in use."""
        self.kept: list[str] = []
        """The names of those that were in use before."""

    @property
    def _staged(self) -> Deployment:
        return self._deployment.with_databases(self._beside)

    async def require_unused(self) -> None:
        """Check that the backup is one of this suite and that the databases are not in use.

        Raises BadBackup and InUse.
        """
        if self._manifest.instance != self._deployment.instance:
            raise BadBackup(
                f"the backup is of the suite {self._manifest.instance}, and this one is {self._deployment.instance}: the other"
                " services do not know its records"
            )
        held = {kept.service for kept in self._manifest.databases}
        if missing := [name for name in self._usual if name not in held]:
            raise BadBackup(f"the backup has no database of {', '.join(missing)}")
        if long := [name for name in self._before.values() if len(name.encode()) > _NAME_BYTES]:
            raise BadBackup(f"the name {long[0]} is too long for PostgreSQL: choose a shorter CRM_INSTANCE")
        conn = await self._operator()
        try:
            for name in self._usual:
                await self._require_unused(conn, name)
        finally:
            await conn.close()

    async def _require_unused(self, conn: asyncpg.Connection, name: str) -> None:
        found = [row[0] for database in (self._usual, self._beside) for row in await conn.fetch(_USERS, database[name])]
        # A process has several connections, such as sales-worker-access.
        if users := dict.fromkeys(re.sub(rf"^({name}-(?:api|worker|all))-.*", r"\1", user) for user in found):
            raise InUse(
                f"the database of {name} is in use by {', '.join(users)}: stop all processes of {name} (./crm down, or 0"
                " replicas), end other sessions, and restore again"
            )

    async def fill(self, tools: Tools, server: int, jobs: int) -> None:
        """Fill databases next to those in use, and begin their epochs."""
        turn = asyncio.Semaphore(max(1, jobs))
        files = {kept.service: self._place / kept.file for kept in self._manifest.databases}

        async def one(service: Service) -> None:
            async with turn:
                url = self._staged.own_database(service)
                await tools.restore(url, files[service.name], jobs=jobs, server=server)
                about = entrypoints.definition(service)
                await asyncio.to_thread(migrate, about.migrations, url, about.metadata)
                say(f"restored  {service.name}, beside the one in use")

        # Databases of an earlier attempt that was killed.
        await self.undo()
        for service in self._services:
            await databases.make_beside(self._deployment, service, self._beside[service.name])
        await together(one(service) for service in self._services)
        for service in self._services:
            await self._prepare(service)
        reason = f"restored alone from the backup of {self._manifest.made_at}"
        async with Suite.of(parties.of(self._staged)) as suite:
            for service in self._services:
                self._epochs[service.name] = await suite.start_epoch(service.name, reason=reason, tell=say)

    async def _prepare(self, service: Service) -> None:
        url = self._staged.own_database(service)
        async with AsyncExitStack() as stack:
            conn = await _connected(stack, url)
            await redelivery.take_up(conn)
            oldest = await conn.fetchval("select min(created_at) from outbox where state = 'pending'")
        if oldest is not None and oldest < (since := self._retention.keys_since(self._now)):
            say(
                f"warning: {service.name} publishes the events since {oldest:%Y-%m-%d} again. Other services no longer know"
                f" which of those before {since:%Y-%m-%d} they handled (CRM_INBOX_DAYS): merges of that time may take effect"
                " twice"
            )
        if service.name == "identity":
            say(f"ended     {await entrypoints.end_sessions(url)} sessions")

    async def swap(self) -> None:
        """Replace the databases in use by the filled ones, and keep the former under another name. Raises InUse."""
        conn = await self._operator()
        try:
            async with conn.transaction():
                for name, database in self._usual.items():
                    if await conn.fetchval(_EXISTS, database):
                        await databases.run(conn, "alter database %I rename to %I", database, self._before[name])
                        self.kept.append(self._before[name])
                    await databases.run(conn, "alter database %I rename to %I", self._beside[name], database)
        except asyncpg.ObjectInUseError:
            for name in self._usual:
                await self._require_unused(conn, name)
            raise
        finally:
            await conn.close()
        self.done = True

    async def bring_in_line(self) -> bool:
        """Make the other services follow. Return whether every copy could be rebuilt."""
        await self._send_again()
        async with Suite.of(parties.of(self._deployment)) as suite:
            for name, epoch in self._epochs.items():
                await suite.carry_over(name, epoch, say)
            return await follow(suite, list(self._usual)) == 0

    async def _send_again(self) -> None:
        """Make relays send again the events that the restored services had received since the backup."""
        restored = set(self._usual)
        since = self._retention.of_backup(self._manifest).keys_since(self._cut)
        async with AsyncExitStack() as stack:
            conns = {one.name: await _connected(stack, self._deployment.own_database(one)) for one in SERVICES}
            for producer in SERVICES:
                conn = await _connected(stack, self._deployment.own_database(producer))
                listeners = {one.name: Listener(conns[one.name], entrypoints.consumers(one)) for one in self._services}
                again = await redelivery.resend(conn, producer.name, listeners, since=since, rebuilt=True)
                if again.count:
                    say(f"to send   {again.count} events of {producer.name} that were received since the backup")
                if warning := self._retention.short_for(again, self._now):
                    say(warning)
                if producer.name in restored:
                    for one in SERVICES:
                        source = source_of(producer.name)
                        await redelivery.forget_requests(conn, source, one.name, conns[one.name])
                else:
                    self._tell_of_gone_events(producer)

    def _tell_of_gone_events(self, producer: Service) -> None:
        kept_since = self._retention.events_since(self._now)
        if kept_since <= self._cut:
            return
        groups = [
            group.name
            for service in self._services
            for group in entrypoints.consumers(service).groups.values()
            if group.kind == "step" and group.followed(producer.name)
        ]
        if groups:
            say(
                f"warning: events of {producer.name} from before {kept_since:%Y-%m-%d} are no longer kept (CRM_OUTBOX_DAYS):"
                f" {', '.join(groups)} may wait for them (crm events skip-gap)"
            )

    async def undo(self) -> None:
        """Drop the filled databases that are not in use."""
        conn = await self._operator()
        try:
            for name in self._beside.values():
                await databases.run(conn, "drop database if exists %I", name)
        finally:
            await conn.close()

    async def _operator(self) -> asyncpg.Connection:
        return await Target.of(self._deployment.backends.database_url).connect("crm restore")


async def _connected(stack: AsyncExitStack, url: str) -> asyncpg.Connection:
    conn = await Target.of(url).connect("crm restore")
    stack.push_async_callback(conn.close)
    await conn.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
    return conn
