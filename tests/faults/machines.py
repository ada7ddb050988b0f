"""A PostgreSQL cluster and a RabbitMQ node that tests can kill, freeze and restart. Only these tests use them."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from crm_local import ports
from crm_local.processes import ProcessRef, followers, stop
from crm_local.servers import Instance, await_ready, own

Guard = Callable[[ProcessRef], None]


@dataclass
class Server:
    """A server program with its data, over all restarts."""

    instance: Instance
    process: ProcessRef
    guard: Guard

    @classmethod
    def started(cls, instance: Instance, guard: Guard) -> "Server":
        """Start the server without waiting until it is ready."""
        server = cls(instance, instance.command.start(), guard)
        guard(server.process)
        return server

    async def ready(self) -> None:
        """Wait until it answers."""
        await asyncio.to_thread(await_ready, self.instance, self.process)

    async def start(self) -> None:
        """Start it again on its data and wait until it answers."""
        self.process = self.instance.command.start()
        self.guard(self.process)
        await self.ready()

    async def end(self, number: signal.Signals) -> None:
        """Send a signal and wait until the server and its children have ended."""
        await asyncio.to_thread(stop, [self.process], number, 30.0)

    async def mend(self) -> None:
        """Make it run again, whatever a failed test did to it."""
        self.thaw()
        if not self.process.alive():
            await self.start()

    def freeze(self) -> None:
        """Stop the process: connections stay open without answers."""
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process."""
        self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> None:
        for process in (self.process, *followers(self.process)):
            process.signal(number)


@dataclass(frozen=True)
class Machines:
    """The two servers."""

    postgres: Server
    rabbitmq: Server

    @property
    def database_url(self) -> str:
        """A URL whose user has all rights."""
        return self.postgres.instance.url

    @property
    def amqp_url(self) -> str:
        """A URL whose user has all rights."""
        return self.rabbitmq.instance.url

    @property
    def management_url(self) -> str:
        """The HTTP API of the broker."""
        assert self.rabbitmq.instance.management_url is not None
        return self.rabbitmq.instance.management_url

    async def kill_a_backend(self, database: str) -> None:
        """``kill -9`` one process of the database server.

        The server then closes all connections and recovers from its log.
        """
        conn = await asyncpg.connect(self.database_url)
        try:
            pid = await conn.fetchval(
                "select pid from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() limit 1", database
            )
            os.kill(pid, signal.SIGKILL)
        finally:
            conn.terminate()


@asynccontextmanager
async def machines(guard: Guard) -> AsyncIterator[Machines]:
    """Create both servers, and remove them at the end. ``guard`` does so if the tests are killed.

    Unlike those of other tests, they are as durable as in production, because the tests are about what survives.
    """
    directory = _place()
    node = own.rabbitmq_node(
        directory / "rabbitmq", directory.name, ports.choose(4), None, log=directory / "rabbitmq.log"
    )
    broker = Server.started(node, guard)
    servers = [broker]
    try:
        cluster = await asyncio.to_thread(
            own.postgres_cluster, directory / "postgres", ports.choose(1)[0], None, log=directory / "postgres.log"
        )
        database = Server.started(cluster, guard)
        servers.append(database)
        for server in servers:
            await server.ready()
        yield Machines(database, broker)
    finally:
        for server in servers:
            server.thaw()
        await asyncio.to_thread(stop, [server.process for server in servers], signal.SIGQUIT)
        shutil.rmtree(directory)


def _place() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="liaison-faults-"))
    # The servers run as other users than root, and must reach their own directories below this one.
    directory.chmod(0o711)
    return directory
