"""The pauses of a loop after failures. They double up to a limit, and vary at random."""

import asyncio
from dataclasses import dataclass, field
from random import uniform


@dataclass(slots=True)
class Backoff:
    """Pauses that double from ``first`` to ``longest`` seconds. Jitter shortens each by up to half, so that replicas that
    failed together do not try again together."""

    first: float
    longest: float
    failures: int = field(default=0, init=False)

    def next(self) -> float:
        """Count a failure and return the seconds to wait after it."""
        self.failures += 1
        return pause_after(self.failures - 1, self.first, self.longest)

    def reset(self) -> None:
        """Forget the failures. Call it after a success."""
        self.failures = 0

    async def wait(self, interrupt: asyncio.Event | None = None) -> None:
        """Count a failure and wait; ``interrupt`` ends the wait early."""
        seconds = self.next()
        if interrupt is None:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await interrupt.wait()
        except TimeoutError:
            return


def pause_after(failures: int, first: float, longest: float) -> float:
    """Return the pause in seconds, with jitter, after a failure that follows ``failures`` others."""
    return seconds_after(failures, first, longest) * uniform(0.5, 1.0)


def seconds_after(failures: int, first: float, longest: float) -> float:
    """Return the pause in seconds, without jitter, after a failure that follows ``failures`` others."""
    return min(longest, first * 2.0 ** min(failures, 30))
