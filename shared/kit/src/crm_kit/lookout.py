"""A loop that repeats a look until its process ends, and less often while the look fails."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from crm_kit.backoff import Backoff


class Lookout:
    """Calls ``look``, which returns whether it succeeded. The next call follows after ``every`` seconds or when ``news`` is set;
    ``every`` may be asked for each time. After a failure it follows when ``backoff`` allows. An exception of ``look`` ends the
    loop; ``alive`` is then false."""

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[bool]],
        *,
        every: float | Callable[[], float],
        backoff: Backoff,
        news: asyncio.Event | None = None,
    ) -> None:
        self._name, self._look, self._every, self._backoff = name, look, every, backoff
        self._news = asyncio.Event() if news is None else news
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, patience: float | None = None) -> None:
        """Start the loop and wait for the end of the first look, for at most ``patience`` seconds. The loop then continues.

        Raises what the first look raises.
        """
        self._task = asyncio.create_task(self._run(), name=self._name)
        first = asyncio.create_task(self._first.wait())
        try:
            await asyncio.wait([first, self._task], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """End the loop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def alive(self) -> bool:
        """Whether the loop is running."""
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            succeeded = await self._look()
            self._first.set()
            if not succeeded:
                await self._backoff.wait()
                continue
            self._backoff.reset()
            # Not ``wait_for``: before Python 3.12 it loses a cancellation that coincides with the news, and ``stop`` never ends.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every() if callable(self._every) else self._every):
                    await self._news.wait()
