"""Pauses between attempts."""

import asyncio

from crm_kit.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_start_over_after_a_success() -> None:
    backoff = Backoff(1.0, 10.0)
    pauses = [backoff.next() for _ in range(6)]
    for pause, whole in zip(pauses, [1, 2, 4, 8, 10, 10], strict=True):
        assert whole / 2 <= pause <= whole
    backoff.reset()
    assert backoff.next() <= 1.0


async def test_a_wait_ends_when_it_is_interrupted() -> None:
    interrupt = asyncio.Event()
    interrupt.set()
    async with asyncio.timeout(120):
        await Backoff(3600.0, 3600.0).wait(interrupt)
