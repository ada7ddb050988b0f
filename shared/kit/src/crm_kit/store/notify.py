"""The one LISTEN/NOTIFY connection of a process.

A NOTIFY inside a business transaction takes a lock that all commits of the database share. It is therefore sent after the
commit, here, in autocommit, many notifications in one statement. A notification is only a hint: listeners also
look by themselves (``crm_kit.store.pace``). A process may die between a commit and its notification. The process that
takes its place notifies everybody when it connects.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import asyncpg
import structlog

from crm_kit.backoff import Backoff
from crm_kit.network.postgres import Target, told
from crm_kit.store.outages import DRIVER_LOST

log = structlog.get_logger(__name__)

EVERYBODY = "crm_look"
"""The channel that all processes of a service listen to; a notification is one for each channel."""
COALESCE_SECONDS = 0.02
QUIET_SECONDS = 25.0
"""After so much silence the connection is tried. This also keeps it open in routers that forget idle ones."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
GOOD_SECONDS = 10.0
"""Seconds after which a connection counts as stable, so that the pauses start again from the shortest."""
LOST = (OSError, asyncpg.PostgresError, *DRIVER_LOST, TimeoutError)


class Notifier:
    """``listen`` before or after ``start``; ``notify`` from anywhere on the loop, without waiting."""

    def __init__(self, dsn: str, application_name: str) -> None:
        self._target, self._application_name = Target.of(dsn), application_name
        self._callbacks: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._pending: dict[tuple[str, str], None] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._listening: set[str] = set()

    def notify(self, channel: str, payload: str = "") -> None:
        """Notify the listeners of ``channel``; equal notifications within 20 ms become one."""
        self._pending[channel, payload] = None
        self._wanted.set()

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call back with each payload, and with "" after a reconnect, since notifications may have been missed."""
        self._callbacks[channel].append(callback)
        self._wanted.set()

    @property
    def is_listening(self) -> bool:
        """Whether notifications of every channel arrive, as far as this process knows."""
        return self._connection is not None and self._listening >= self._callbacks.keys()

    async def start(self) -> None:
        """Connect in the background; an unreachable database is retried without limit."""
        self._task = asyncio.create_task(self._run(), name="notifier")

    async def stop(self) -> None:
        """Send pending notifications if the connection is up, and close."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            try:
                async with asyncio.timeout(1):
                    await self._flush(self._connection)
                    await self._connection.close()
            except LOST:
                self._connection.terminate()

    async def _run(self) -> None:
        backoff, loop = Backoff(FIRST_PAUSE, LONGEST_PAUSE), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._serve()
            except LOST as error:
                log.warning("notifier.lost", error=type(error).__name__, reason=told(error, text=True))
            if loop.time() - began > GOOD_SECONDS:
                backoff.reset()
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            self._listening.clear()
            await backoff.wait()

    async def _serve(self) -> None:
        conn = await self._target.connect(self._application_name)
        self._connection = conn
        conn.add_termination_listener(lambda _: self._wanted.set())
        await conn.add_listener(EVERYBODY, self._look_all)
        self.notify(EVERYBODY)
        while True:
            for channel in self._callbacks.keys() - self._listening:
                await conn.add_listener(channel, self._received)
                self._listening.add(channel)
                self._received(conn, 0, channel, "")
            if conn.is_closed():
                raise ConnectionResetError
            await self._flush(conn)
            await asyncio.sleep(COALESCE_SECONDS)
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                # Something between here and the server may have dropped the connection without a word.
                await conn.execute("select 1", timeout=5)
            self._wanted.clear()

    async def _flush(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        if not self._pending:
            return
        wishes, self._pending = list(self._pending), {}
        try:
            await conn.execute(
                "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as wish(channel, payload)",
                [channel for channel, _ in wishes],
                [payload for _, payload in wishes],
                timeout=5,
            )
        except BaseException:
            self._pending = dict.fromkeys(wishes) | self._pending
            raise

    def _look_all(self, connection: object, pid: int, _: object, __: object) -> None:
        for channel in self._listening:
            self._received(connection, pid, channel, "")

    def _received(self, _: object, __: int, channel: str, payload: object) -> None:
        for callback in self._callbacks[channel]:
            callback(str(payload))
