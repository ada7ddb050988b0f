"""Metrics of a process: CPU, memory, files, disk, event loop and database connections."""

import asyncio
import gc
import os
import platform
import resource
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from crm_kit.configuration.settings import Settings
from crm_kit.signals.attention import ATTENTION
from crm_kit.signals.metrics import (
    Readings,
    gauge,
    histogram,
    observed,
)
from crm_kit.store.database import Database

SAMPLE_SECONDS: Final = 0.5
READY_SECONDS: Final = 10.0
_PROC: Final = Path("/proc/self")

CPU = observed("process.cpu.time", "Processor time used by the process.", "cpu.mode", unit="s", counts=True)
MEMORY = observed("process.memory.usage", "Resident memory, including memory shared with other processes.", unit="By")
FILES = observed("process.unix.file_descriptor.count", "Open files and connections.")
FILES_LIMIT = observed("crm.process.file_descriptor.limit", "The most files and connections that may be open.")
THREADS = observed("process.thread.count", "Threads of the process.")
COLLECTIONS = observed(
    "cpython.gc.collections", "Garbage collections by generation.", "cpython.gc.generation", counts=True
)
BUILD = observed("crm.build_info", "1; the labels say what runs.", "version", "python")
DISK_FREE = observed(
    "crm.disk.free",
    "Free space on the disk that this process writes to: temporary files or CRM_HOME.",
    "directory",
    unit="By",
)
DISK_SIZE = observed("crm.disk.size", "Total space on that disk.", "directory", unit="By")
DELAY = histogram(
    "crm.event_loop.delay",
    f"Delay of the event loop, sampled every {SAMPLE_SECONDS:g} s while metrics are read. All work waits this long.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
CONNECTIONS = observed("db.client.connection.count", "Connections to the database by state.", "pool", "state")
CONNECTIONS_MAX = observed("db.client.connection.max", "The most connections in the pool.", "pool")
PENDING = observed("db.client.connection.pending_requests", "Units of work that wait for a connection.", "pool")
TIMEOUTS = observed(
    "db.client.connection.timeouts", "Units of work that got no connection within 2 s.", "pool", counts=True
)


KEYS_AGE = observed(
    "crm.tokens.keys_age", "Time since the keys that verify tokens were last received from identity.", unit="s"
)
READY = gauge("crm.ready", "1 when this process is ready, as /readyz reports.")
Reasons = Callable[[], Awaitable[list[str]]]


@asynccontextmanager
async def watched_readiness(settings: Settings, unready: Reasons) -> AsyncIterator[None]:
    """Check regularly whether the process is ready, if metrics are exported."""
    if not settings.metrics_port and not settings.otlp_endpoint:
        yield
        return
    task = asyncio.create_task(_watch_readiness(unready), name="readiness")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch_readiness(unready: Reasons) -> None:
    while True:
        READY.set(int(not await unready()))
        await ATTENTION.pause(READY_SECONDS)


@asynccontextmanager
async def watched_loop() -> AsyncIterator[None]:
    """Measure the delay of the event loop."""
    task = asyncio.create_task(_watch_loop(), name="loop delay")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch_loop() -> None:
    loop = asyncio.get_running_loop()
    DELAY.labels()
    while True:
        if not ATTENTION.is_paid:
            await ATTENTION.pause(SAMPLE_SECONDS, unread=None)
        began = loop.time()
        await asyncio.sleep(SAMPLE_SECONDS)
        DELAY.observe(loop.time() - began - SAMPLE_SECONDS)


@contextmanager
def watched_pool(pool: str, db: Database) -> Iterator[None]:
    """Export the connections of a pool under this name."""
    with (
        CONNECTIONS.reading(lambda: [((pool, "used"), db.pool.checkedout()), ((pool, "idle"), db.pool.checkedin())]),
        CONNECTIONS_MAX.reading(lambda: [((pool,), db.pool.size())]),
        PENDING.reading(lambda: [((pool,), db.pool.waiting)]),
        TIMEOUTS.reading(lambda: [((pool,), db.pool.timeouts)]),
    ):
        yield


def _cpu() -> Readings:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [(("user",), used.ru_utime), (("system",), used.ru_stime)]


def _memory() -> Readings:
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except OSError:
        return []
    return [((), pages * resource.getpagesize())]


def _files() -> Readings:
    try:
        return [((), len(os.listdir(_PROC / "fd")))]  # noqa: PTH208  # names are all that is wanted, of thousands
    except OSError:
        return []


def _directories() -> Mapping[str, str]:
    found = {"temporary": tempfile.gettempdir()}
    if home := os.environ.get("CRM_HOME"):
        found["home"] = home
    return found


def _disk(which: int) -> Readings:
    found = []
    for name, path in _directories().items():
        with suppress(OSError):
            found.append(((name,), shutil.disk_usage(path)[which]))
    return found


def _build() -> Readings:
    try:
        release = os.environ.get("CRM_RELEASE") or version("crm-kit")
    except PackageNotFoundError:
        release = "unknown"
    return [((release, platform.python_version()), 1)]


CPU.add(_cpu)
MEMORY.add(_memory)
FILES.add(_files)
FILES_LIMIT.add(lambda: [((), resource.getrlimit(resource.RLIMIT_NOFILE)[0])])
THREADS.add(lambda: [((), threading.active_count())])
COLLECTIONS.add(lambda: [((str(number),), one["collections"]) for number, one in enumerate(gc.get_stats())])
BUILD.add(_build)
DISK_FREE.add(lambda: _disk(2))
DISK_SIZE.add(lambda: _disk(0))
