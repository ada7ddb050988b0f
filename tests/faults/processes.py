"""Processes of the suite that tests start, watch, kill and restart."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

from crm_local.processes import ProcessRef

READY_SECONDS = 120


class Nursery:
    """The process that forks the others; see ``nursery.py``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._births: asyncio.Queue[int] = asyncio.Queue()
        self._deaths: dict[int, asyncio.Future[int]] = {}
        self._ordering = asyncio.Lock()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """Start it without waiting for its imports. At its end it kills what it started."""
        program = Path(__file__).with_name("nursery.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl+C and timeouts end whole process groups. It must outlive the tests to clean up after them.
            start_new_session=True,
        )
        assert process.stdin is not None
        nursery = cls(process)
        try:
            yield nursery
        finally:
            process.stdin.close()
            await process.wait()
            await nursery._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            news = json.loads(line)
            if "born" in news:
                self._deaths[news["born"]] = asyncio.get_running_loop().create_future()
                self._births.put_nowait(news["born"])
            else:
                self._deaths[news["died"]].set_result(news["code"])

    def guard(self, server: ProcessRef) -> None:
        """Make it stop a server if these tests end without doing so."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"guard": asdict(server)}).encode() + b"\n")

    async def fork(self, module: str, environment: dict[str, str], log: Path) -> tuple[int, "asyncio.Future[int]"]:
        """Fork a process. Return its pid, and a future of its exit code (the negative signal that killed it)."""
        assert self._process.stdin is not None
        order = json.dumps({"module": module, "environment": environment, "log": str(log)})
        async with self._ordering:
            self._process.stdin.write(order.encode() + b"\n")
            pid = await asyncio.wait_for(self._births.get(), READY_SECONDS)
        return pid, self._deaths[pid]


@dataclass
class Member:
    """A process of the suite, with the same name, port and log over all restarts."""

    nursery: Nursery
    name: str
    module: str
    environment: dict[str, str]
    log: Path
    deaths: list[int] = field(default_factory=list)
    """Exit codes of its earlier processes."""
    _pid: int = 0
    _end: "asyncio.Future[int] | None" = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.environment['CRM_PORT']}"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._end is not None and not self._end.done()

    async def start(self, failpoint: str = "", *, ready: bool = True) -> None:
        """Start it, with a failpoint at which it dies if one is named. Wait until it is ready unless told otherwise."""
        assert not self.alive, f"{self.name} runs already"
        environment = {**self.environment, "CRM_FAILPOINT": failpoint}
        self._pid, self._end = await self.nursery.fork(self.module, environment, self.log)
        self._end.add_done_callback(lambda end: self.deaths.append(end.result()))
        if ready:
            await self.ready()
            assert self.alive or failpoint, f"{self.name} died at once: {self.log.read_text()[-2000:]}"

    async def ready(self) -> None:
        """Wait until it reports that it is ready, or has died."""
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while self.alive:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass  # It does not listen yet.
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Wait for its end. Return the exit code."""
        assert self._end is not None
        return await asyncio.shield(self._end)

    async def kill(self) -> int:
        """``kill -9``, without a chance to clean up. Return the exit code once it has ended."""
        if self.alive:
            os.kill(self._pid, signal.SIGKILL)
        return await self.ended()

    @asynccontextmanager
    async def supervised(self, *failpoints: str) -> AsyncIterator[None]:
        """Restart it whenever it dies, as `crm up` does.

        The next restarts have these failpoints, all later ones have none.
        """
        points = list(failpoints)

        async def watch() -> None:
            while True:
                await self.ended()
                await self.start(points.pop(0) if points else "", ready=False)

        watching = asyncio.create_task(watch(), name=f"supervisor of {self.name}")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if not self.alive:
                await self.start()
