"""When a process gives memory back."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from crm_kit.process.memory import FEW_COLLECTIONS, Housekeeper


class Garbage:
    """It refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.me = self


class Counting(Housekeeper):
    quiet_seconds = 0.05
    times = 0

    def tidy(self) -> None:
        self.times += 1
        super().tidy()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector does not run by itself."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_process_that_has_become_quiet_after_work_gives_its_garbage_back() -> None:
    housekeeper = Counting()
    async with housekeeper.watching():
        await asyncio.sleep(0)
        one = Garbage()
        garbage = weakref.ref(one)
        for _ in range(FEW_COLLECTIONS + 1):
            gc.collect(0)
        # It is older than the youngest generation now, and would wait for a rare collection.
        del one
        gc.collect(0)
        assert garbage() is not None
        async with asyncio.timeout(120):
            while garbage() is not None:  # noqa: ASYNC110  # the collector tells nobody
                await asyncio.sleep(housekeeper.quiet_seconds)
        assert housekeeper.times == 1


@pytest.mark.usefixtures("uncollected")
async def test_a_process_that_stays_quiet_has_nothing_to_tidy() -> None:
    housekeeper = Counting()
    async with housekeeper.watching():
        gc.collect(0)
        await asyncio.sleep(10 * housekeeper.quiet_seconds)
    assert housekeeper.times == 0
