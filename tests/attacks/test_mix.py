"""All kinds of hostile clients at once, limited in number and time, next to a user who works."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping

import pytest

from crm_kit.testing.figures import Figures
from tests.attacks.hostile import HOSTILES, Strike
from tests.attacks.people import Cast
from tests.attacks.watching import Diary, at_work, memory

MOST_STRIKES = 700
GROWTH_BYTES = 150 * 1024 * 1024
RATIO = 3.0


async def beside(cast: Cast, hostiles: Mapping[str, Strike], seconds: float, rest: float) -> tuple[Diary, Counter[str]]:
    """Return the normal user's diary of this many seconds, and the hostile clients' answers by kind and status.

    There are ``rest`` seconds between two strikes of one kind: the test is about the harm of one client, not about the
    load that two cores can take.
    """
    over, got = asyncio.Event(), Counter[str]()

    async def attack(name: str, strike: Strike) -> None:
        for _ in range(MOST_STRIKES):
            got[f"{name} {await strike(cast)}"] += 1
            try:
                async with asyncio.timeout(rest):
                    await over.wait()
                return
            except TimeoutError:
                continue

    async with at_work(cast) as diary, asyncio.TaskGroup() as group:
        for name, strike in hostiles.items():
            group.create_task(attack(name, strike))
        await asyncio.sleep(seconds)
        over.set()
    return diary.result(), got


@pytest.mark.parametrize(
    ("seconds", "rest"), [pytest.param(20, 4, id="small"), pytest.param(600, 1, id="large", marks=pytest.mark.large)]
)
async def test_a_hostile_mix_harms_nobody_else(cast: Cast, seconds: int, rest: float, figures: Figures) -> None:
    # Everything has been loaded once, so that the measurement shows growth only.
    await beside(cast, HOSTILES, 5, rest)
    quiet, _ = await beside(cast, {}, min(seconds / 4, 60), rest)
    before = memory(cast.suite)
    diary, got = await beside(cast, HOSTILES, seconds, rest)
    after = memory(cast.suite)
    growth = {name: after[name] - before[name] for name in before}
    worst = max(growth, key=lambda name: growth[name])
    figures(
        requests=len(diary.seconds),
        p95_quiet_ms=quiet.p95() * 1000,
        p95_attacked_ms=diary.p95() * 1000,
        strikes=", ".join(f"{name} ×{count}" for name, count in sorted(got.items())),
        most_growth=f"{growth[worst] / 2**20:.0f} MiB ({worst})",
    )
    assert not [status for status in quiet.answers if status >= 500]
    assert {status: count for status, count in diary.answers.items() if status >= 400} == {}
    assert [name for name in got if name.endswith((" 500", " 502"))] == []
    assert {name.partition(" ")[0] for name in got} == set(HOSTILES)
    assert {name: grown for name, grown in growth.items() if grown > GROWTH_BYTES} == {}
    processes = json.loads(cast.suite.crm("status", "--json"))["services"]
    assert {one["name"]: one["restarts"] for one in processes if one["restarts"]} == {}
    if seconds >= 600:
        assert diary.p95() <= RATIO * quiet.p95()
