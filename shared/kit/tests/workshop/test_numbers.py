"""Numbers that people say aloud."""

import asyncio

from crm_kit.process.runtime import Runtime
from crm_kit.store.numbers import BLOCK, Numbers
from crm_kit.testing import counted


async def test_processes_that_draw_together_never_share_a_number(runtime: Runtime) -> None:
    processes = [Numbers() for _ in range(3)]

    async def draw(numbers: Numbers) -> list[str]:
        async with runtime.db.autocommit() as conn:
            return [await numbers.next("TOO", conn) for _ in range(BLOCK + 50)]

    drawn = [number for found in await asyncio.gather(*map(draw, processes)) for number in found]
    assert len(set(drawn)) == len(drawn) == 3 * (BLOCK + 50)
    assert all(number.startswith("TOO-") and number[4:].isdecimal() and len(number) >= 9 for number in drawn)


async def test_a_block_costs_one_statement(runtime: Runtime) -> None:
    numbers = Numbers()
    async with runtime.db.autocommit() as conn:
        with counted(runtime.db) as statements:
            drawn = [await numbers.next("TOO", conn) for _ in range(BLOCK)]
    assert len(statements) == 1
    assert drawn == sorted(drawn)
