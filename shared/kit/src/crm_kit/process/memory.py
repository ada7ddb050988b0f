"""Returns memory to the system after the answer to a large request, and when the process has become quiet.

Two things would keep the memory: objects in a reference cycle (an error and its traceback) wait in the oldest generation for a
rare collection, and the C library keeps freed blocks, and more of them after larger blocks.
"""

import asyncio
import ctypes
import gc
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from crm_kit import clock

LARGE: Final = 128 * 1024
"""Size of a body in bytes from which memory is returned."""
AFTER_SECONDS: Final = 1.0
AT_MOST_EVERY_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 20.0
"""Seconds without much work after which a process counts as quiet."""
FEW_COLLECTIONS: Final = 1
"""Collections of young objects in that time which are not much work: each follows 10,000 new objects that stayed."""

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8


def _c_library() -> Any:
    return ctypes.CDLL("libc.so.6") if platform.libc_ver()[0] == "glibc" else None


class Housekeeper:
    """Collects on request, at most every ten seconds, and when the process has become quiet."""

    quiet_seconds = QUIET_SECONDS

    def __init__(self) -> None:
        self._library: Any = _c_library()
        self._tidied_at = float("-inf")
        self._asked = False

    def bound_heap(self) -> None:
        """Use few arenas and fixed thresholds: by default each freed large block raises the thresholds."""
        if self._library is not None:
            self._library.mallopt(M_ARENA_MAX, 2)
            self._library.mallopt(M_MMAP_THRESHOLD, LARGE)
            self._library.mallopt(M_TRIM_THRESHOLD, 1024 * 1024)

    def settle(self) -> None:
        """Exclude the current objects from collection, so that the collector does not scan them during requests."""
        self.bound_heap()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)

    def tidy_soon(self) -> None:
        """Request a collection, because a large object is about to be freed."""
        if not self._asked:
            self._asked = True
            wait = max(AFTER_SECONDS, self._tidied_at + AT_MOST_EVERY_SECONDS - clock.monotonic())
            asyncio.get_running_loop().call_later(wait, self.tidy)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Inside the context, tidy once whenever the process has become quiet after work."""
        task = asyncio.create_task(self._watch(), name="housekeeper")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        seen, has_worked = _collections(), False
        while True:
            await asyncio.sleep(self.quiet_seconds)
            before, seen = seen, _collections()
            if seen - before > FEW_COLLECTIONS:
                has_worked = True
            elif has_worked:
                self.tidy()
                seen, has_worked = _collections(), False

    def tidy(self) -> None:
        """Collect, and return free memory to the system; takes some milliseconds."""
        self._asked, self._tidied_at = False, clock.monotonic()
        gc.collect()
        if self._library is not None:
            self._library.malloc_trim(0)


def _collections() -> int:
    return int(gc.get_stats()[0]["collections"])


HOUSEKEEPER: Final = Housekeeper()
"""The one of this process."""
