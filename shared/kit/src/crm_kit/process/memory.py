"""Memory that a large request took is given back once it is answered.

Two things would keep it: objects in a circle (an error and its traceback) wait in the oldest generation for a collection
that hardly ever comes, and the C library keeps freed blocks for later, the more so the larger the blocks it has seen.
"""

import asyncio
import ctypes
import gc
import platform
from typing import Any, Final

from crm_kit import clock

LARGE: Final = 128 * 1024
"""Bytes of a body after which it is worth a look."""
AFTER_SECONDS: Final = 1.0
AT_MOST_EVERY_SECONDS: Final = 10.0

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8


def _c_library() -> Any:
    return ctypes.CDLL("libc.so.6") if platform.libc_ver()[0] == "glibc" else None


class Housekeeper:
    """Tidies up at most every ten seconds, and only when somebody asked for it."""

    def __init__(self) -> None:
        self._library: Any = _c_library()
        self._tidied_at = float("-inf")
        self._asked = False

    def bound_heap(self) -> None:
        """Few arenas, and thresholds that stay where they are: by default each large block that is freed raises them."""
        if self._library is not None:
            self._library.mallopt(M_ARENA_MAX, 2)
            self._library.mallopt(M_MMAP_THRESHOLD, LARGE)
            self._library.mallopt(M_TRIM_THRESHOLD, 1024 * 1024)

    def settle(self) -> None:
        """What stands now stays: the collector need not look through it again and again while requests are answered."""
        self.bound_heap()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)

    def tidy_soon(self) -> None:
        """Something large is about to be let go."""
        if not self._asked:
            self._asked = True
            wait = max(AFTER_SECONDS, self._tidied_at + AT_MOST_EVERY_SECONDS - clock.monotonic())
            asyncio.get_running_loop().call_later(wait, self.tidy)

    def tidy(self) -> None:
        """Collect, and give free memory back to the system: some milliseconds."""
        self._asked, self._tidied_at = False, clock.monotonic()
        gc.collect()
        if self._library is not None:
            self._library.malloc_trim(0)


HOUSEKEEPER: Final = Housekeeper()
"""The one of this process."""
