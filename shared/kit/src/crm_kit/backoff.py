"""How long a loop waits before it tries again what failed: twice as long each time, up to a limit, never all at once."""

import asyncio
from dataclasses import dataclass, field
from random import uniform


@dataclass(slots=True)
class Backoff:
    """Pauses that double from ``first`` to ``longest`` seconds. The jitter takes up to half of each, so that replicas that
    failed together do not come back together."""

    first: float
    longest: float
    failures: int = field(default=0, init=False)

    def next(self) -> float:
        """Count a failure; the seconds to wait after it."""
        self.failures += 1
        return pause_after(self.failures - 1, self.first, self.longest)

    def reset(self) -> None:
        """It worked."""
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
    """The pause after a failure that follows so many others, with jitter."""
    return seconds_after(failures, first, longest) * uniform(0.5, 1.0)


def seconds_after(failures: int, first: float, longest: float) -> float:
    """The whole pause after a failure that follows so many others."""
    return min(longest, first * 2.0 ** min(failures, 30))
