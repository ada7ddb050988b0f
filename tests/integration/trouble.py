"""Faults of the processes of one service during a story."""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from crm_local.probes import ready
from crm_local.state import Home
from crm_local.suite import PROFILES
from tests.integration.suite import Suite

HUNG_SECONDS = 2.5


@dataclass
class Trouble:
    """A fault of a service; none without a service."""

    suite: Suite
    service: str = ""
    _blows: list[asyncio.Task[None]] = field(default_factory=list)

    async def killed(self) -> None:
        """Kill its processes. The supervisor restarts them."""
        if self.service:
            await self.over()
            for pid in await self._pids():
                os.kill(pid, signal.SIGKILL)

    async def hung(self) -> None:
        """Freeze its processes for some seconds."""
        if self.service:
            pids = await self._pids()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            self._blows.append(asyncio.create_task(self._continue(pids)))

    async def over(self) -> None:
        """Wait until no process is frozen."""
        await asyncio.gather(*self._blows)

    async def healed(self) -> None:
        """Wait until its processes are ready, for the next test."""
        await self.over()
        if not self.service:
            return
        urls = [one["url"] for one in self.suite.status["services"] if one["name"].rpartition("-")[0] == self.service]
        async with asyncio.timeout(120):
            for url in urls:
                while not (await asyncio.to_thread(ready, url))[0]:  # noqa: ASYNC110  # nothing tells that it is back
                    await asyncio.sleep(0.05)

    async def _continue(self, pids: list[int]) -> None:
        try:
            await asyncio.sleep(HUNG_SECONDS)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def _pids(self) -> list[int]:
        """Return the pids of the API and the worker. Wait for a process that was killed."""
        home = Home(Path(str(self.suite.status["home"])))
        async with asyncio.timeout(120):
            while True:
                state = home.state()
                assert state is not None
                processes = [state.members[f"{self.service}-{role}"].process for role in PROFILES["default"]]
                if all(process.alive() for process in processes):
                    return [process.pid for process in processes]
                await asyncio.sleep(0.05)
