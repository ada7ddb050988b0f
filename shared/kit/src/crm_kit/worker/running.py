"""A service's second process. It runs the relay, the consumers, the timers and their health checks in one event loop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
import uvicorn
import uvloop
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette

from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.declaring import missing
from crm_kit.broker.names import EVENTS, SNAPSHOT_REQUEST
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.events import inbox
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.relay import Relay
from crm_kit.events.replay import Snapshots, Sources
from crm_kit.events.timers import TimerLoop, Timers
from crm_kit.http.connections import Limits, limited
from crm_kit.http.health import health_routes, unready
from crm_kit.http.server import Waiting
from crm_kit.network.postgres import told
from crm_kit.process.handover import HANDOVER
from crm_kit.process.memory import HOUSEKEEPER
from crm_kit.process.runtime import (
    Runtime,
    Service,
    access_runtime,
    open_runtime,
)
from crm_kit.process.vitals import watched_pool, watched_readiness
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.schema.standing import Standing
from crm_kit.signals import telemetry
from crm_kit.worker import housekeeping
from crm_kit.worker.backlog import Backlog

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 10.0
GRACE_SECONDS = 30.0
"""Seconds for which a process with a dead loop reports that it is not ready, before it exits to be restarted."""

Opened = Callable[[Runtime], Awaitable[None] | None]


class Loop(Protocol):
    """Work of a service that its worker runs in addition to the common loops, such as imports."""

    async def run(self) -> None:
        """Run until stopped."""

    def stop(self) -> None:
        """Return from ``run`` after the current work."""


MakeLoop = Callable[[Runtime], Loop]


@dataclass(frozen=True)
class Work:
    """The work of a service's worker.

    ``snapshots`` has a source for each entity that the service publishes. By default these are the service's own tables.
    ``loops`` are the service's own loops, by name. ``opened`` is called when the runtime is open. ``check`` is called before
    anything else, and raises SystemExit if the service's own settings are wrong.
    """

    service: Service
    consumers: Consumers
    timers: Timers = field(default_factory=Timers)
    settings: type[Settings] = Settings
    snapshots: Sources | None = None
    loops: Mapping[str, MakeLoop] = field(default_factory=dict)
    opened: Opened | None = None
    check: Callable[[], object] | None = None


def run_worker(work: Work, settings: Settings | None = None, prepared: Runtime | None = None) -> int:
    """Run a worker until SIGTERM or until a loop dies; returns the exit code of the process.

    Settings are read unless given, and the runtime is built unless it is prepared.
    """
    settings = settings or read(work.settings)
    if work.check is not None:
        work.check()
    telemetry.set_up(settings)
    HOUSEKEEPER.settle()
    code = uvloop.run(Worker(work, settings).run(prepared))
    telemetry.shut_down()
    return code


class Worker:
    """Runs and watches the loops of one worker process."""

    def __init__(self, work: Work, settings: Settings) -> None:
        self._work, self._settings = work, settings
        self._service, self._consumers, self._timers = work.service, work.consumers, work.timers
        self._standing = Standing(work.service)
        self._stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stoppers: list[Callable[[], None]] = []

    async def run(self, prepared: Runtime | None = None) -> int:
        """Start everything, wait for a signal or a dead loop, and stop everything. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        opening = open_runtime(self._service, self._settings, prepared=prepared)
        async with opening as runtime, self.working(runtime):
            await HANDOVER.until_ready(lambda: self._unready(runtime), self._stop.is_set)
            async with self._health(runtime):
                async with watched_readiness(self._settings, lambda: self._unready(runtime)):
                    code = await self.watch()
                HANDOVER.ending = True
                await self.drain()
        return code

    @contextlib.asynccontextmanager
    async def working(self, runtime: Runtime) -> AsyncIterator[None]:
        """Run all loops inside the context, and drain them at its end."""
        if self._work.opened is not None and (waiting := self._work.opened(runtime)) is not None:
            await waiting
        apart = access_runtime(runtime)
        publisher = Publisher(self._settings.amqp_url, name=f"{self._service.name} relay")
        try:
            with watched_pool("access", apart.db):
                self._start(runtime, apart, publisher)
                yield
        finally:
            await self.drain()
            await publisher.close()
            await apart.db.dispose()

    def _start(self, runtime: Runtime, apart: Runtime, publisher: Publisher) -> None:
        url = self._settings.amqp_url
        relay = Relay(self._service.name, runtime.db, publisher, runtime.notifier, self._settings.schemas)
        sources = (
            snapshot_sources(runtime, self._service.entities) if self._work.snapshots is None else self._work.snapshots
        )
        snapshots = Snapshots(self._service.name, runtime, self._consumers, sources, url)
        dispatcher = Dispatcher(self._consumers, runtime)
        intake = Intake(dispatcher, url, control={SNAPSHOT_REQUEST: snapshots.accept})
        access = Intake(Dispatcher(self._consumers, apart, dispatcher.bound), url, access=True)
        housekeeping.register(self._timers, self._settings)
        timers = TimerLoop(self._timers, runtime)
        backlog = Backlog(runtime.db, self._service.metadata, self._consumers, self._timers.timers, publisher)
        self._stoppers = [relay.stop, intake.stop, access.stop, timers.stop, snapshots.stop, backlog.stop]
        for name, make in self._work.loops.items():
            loop = make(runtime)
            self._stoppers.append(loop.stop)
            self._run(name, loop.run())
        self._run("relay", relay.run())
        self._run("timers", timers.run())
        self._run("backlog", backlog.run())
        self._run("snapshots", snapshots.run())
        if self._consumers.groups:
            self._run("inbox", self._consume(runtime, dispatcher, intake, access, snapshots))
            self._run("retries", intake.retries.run())
            self._run("access retries", access.retries.run())
            self._run("parking", intake.run_parking())

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def _consume(
        self, runtime: Runtime, dispatcher: Dispatcher, intake: Intake, access: Intake, snapshots: Snapshots
    ) -> None:
        """Wait for the queues, store the instant at which each group began to follow each source, then consume."""
        queues = [self._consumers.queue, self._consumers.access_queue]
        while not self._stop.is_set():
            try:
                absent = await missing(self._settings.amqp_url, [EVENTS], queues)
                if not absent:
                    pairs = [(group.name, source) for group, source in self._consumers.sources()]
                    async with runtime.db.begin() as conn:
                        dispatcher.bound.update(await inbox.remember_bound(conn, pairs))
                    break
                log.error("worker.topology", missing=absent, remedy="crm topology apply")
            except (BrokerDown, OSError, SQLAlchemyError) as error:
                log.warning("worker.waiting", error=str(error) if isinstance(error, BrokerDown) else told(error))
            await self._pause(2.0)
        await asyncio.gather(access.run(), intake.run(), snapshots.keep_requesting())

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def watch(self) -> int:
        """Wait for the signal to stop and return 0, or for a loop to die and return 1.

        After the death of a loop it waits for ``GRACE_SECONDS``, in which the process reports that it is not ready.
        """
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopped, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set():
            return 0
        for name in self._dead():
            task = self._tasks[name]
            error = None if task.cancelled() else task.exception()
            log.error("worker.loop_died", loop=name, error=type(error).__name__, exc_info=error)
        await self._pause(GRACE_SECONDS)
        stopped.cancel()
        return 1

    def _dead(self) -> list[str]:
        return [] if self._stop.is_set() else [name for name, task in self._tasks.items() if task.done()]

    def unwell(self) -> list[str]:
        """Return a sentence for each dead loop."""
        return [f"the {name} loop has died" for name in self._dead()]

    async def drain(self) -> None:
        """Let each loop finish its current work, for ``DRAIN_SECONDS``. Then cancel it; the work is repeated later."""
        self._stop.set()
        for stop in self._stoppers:
            stop()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks.values(), timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _health(self, runtime: Runtime) -> AsyncIterator[None]:
        routes = health_routes(lambda _: self._unready(runtime))
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=self._settings.host,
            port=self._settings.port,
            http=limited(Limits.of(self._settings)),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # The server has no ticks that would renew the date.
            date_header=False,
            server_header=False,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(HANDOVER.sockets(self._settings)), name="health")
        try:
            yield
        finally:
            server.should_exit = True
            await serving

    async def _unready(self, runtime: Runtime) -> list[str]:
        return await unready(self._standing, runtime, self.unwell)


class _Server(Waiting):
    """Leaves signals to the worker, which must also stop its loops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
