"""Returns the memory of a large request to the system after its answer.

Two things would keep the memory: objects in a reference cycle (an error and its traceback) wait in the oldest generation for a
rare collection, and the C library keeps freed blocks, and more of them after larger blocks.
"""

import asyncio
import ctypes
import gc
import platform
from typing import Any, Final

from crm_kit import clock

LARGE: Final = 128 * 1024
"""Size of a body in bytes from which memory is returned."""
AFTER_SECONDS: Final = 1.0
AT_MOST_EVERY_SECONDS: Final = 10.0

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8


def _c_library() -> Any:
    return ctypes.CDLL("libc.so.6") if platform.libc_ver()[0] == "glibc" else None


class Housekeeper:
    """Collects on request, at most every ten seconds."""

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

    def tidy(self) -> None:
        """Collect, and return free memory to the system; takes some milliseconds."""
        self._asked, self._tidied_at = False, clock.monotonic()
        gc.collect()
        if self._library is not None:
            self._library.malloc_trim(0)


HOUSEKEEPER: Final = Housekeeper()
"""The one of this process."""
