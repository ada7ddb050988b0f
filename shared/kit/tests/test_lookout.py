"""A loop that looks anew: at once with news, less often while it fails, and until it is stopped."""

import asyncio

from crm_kit.backoff import Backoff
from crm_kit.lookout import Lookout


async def test_it_looks_once_before_its_start_returns_and_again_with_news() -> None:
    looks: asyncio.Queue[int] = asyncio.Queue()
    count = 0

    async def look() -> bool:
        nonlocal count
        count += 1
        looks.put_nowait(count)
        return True

    news = asyncio.Event()
    lookout = Lookout("test", look, every=3600, backoff=Backoff(3600, 3600), news=news)
    await lookout.start()
    assert (count, lookout.alive) == (1, True)
    await looks.get()
    news.set()
    async with asyncio.timeout(120):
        assert await looks.get() == 2
    await lookout.stop()
    assert not lookout.alive


async def test_what_fails_is_tried_again_when_the_back_off_says() -> None:
    looks: asyncio.Queue[bool] = asyncio.Queue()
    backoff = Backoff(0.01, 0.02)

    async def look() -> bool:
        looks.put_nowait(succeeded := backoff.failures == 2)
        return succeeded

    lookout = Lookout("test", look, every=3600, backoff=backoff)
    await lookout.start()
    async with asyncio.timeout(120):
        assert [await looks.get() for _ in range(3)] == [False, False, True]
    await lookout.stop()
    assert backoff.failures == 0


async def test_its_start_does_not_wait_for_ever_and_an_error_that_nobody_foresaw_ends_it() -> None:
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def look() -> bool:
        begun.set()
        await going_on.wait()
        raise LookupError

    lookout = Lookout("test", look, every=1, backoff=Backoff(1, 1))
    await lookout.start(patience=0.01)
    await begun.wait()
    assert lookout.alive
    going_on.set()
    async with asyncio.timeout(120):
        while lookout.alive:  # noqa: ASYNC110  # the end of its task is told by nothing else
            await asyncio.sleep(0)
