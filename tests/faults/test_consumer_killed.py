"""``kill -9`` of the consumer before and after its commits. Its messages are delivered again and take effect once."""

import asyncio

import pytest

from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import mixed_story
from .judging import calm, held_against_ledger, read_books, read_effects
from .stage import Stage, until

LIVES = 2


@pytest.mark.parametrize("failpoint", ["inbox.before_commit", "inbox.after_commit"])
@pytest.mark.parametrize("stories", [12, pytest.param(500, marks=pytest.mark.large)])
async def test_two_consumers_killed_at_their_commits_act_once(
    stage: Stage, drive: Drive, figures: Figures, failpoint: str, stories: int
) -> None:
    """Two workers share the queue, so that the messages of one that died go to the other, marked as redelivered."""
    api, sales = stage.member("sales", "api"), stage.member("sales", "worker")
    first, second = (stage.member("activities", "worker", number=number) for number in (1, 2))
    await asyncio.gather(api.start(), sales.start(), *(one.start(f"{failpoint}:4") for one in (first, second)))
    again = [f"{failpoint}:7"] * (LIVES - 1)
    async with drive(api.url) as driver:
        async with first.supervised(*again), second.supervised(*again):
            await driver.tell(mixed_story, stories)
            async with driver.telling(mixed_story, clients=2):
                died = [one.deaths for one in (first, second)]
                await until(lambda: all(len(deaths) >= LIVES for deaths in died), "each consumer has died", seconds=120)
            settled = await calm(stage)
        assert await held_against_ledger(stage, driver.ledger) == []
    books, effects = await read_books(stage, "activities"), await read_effects(stage)
    figures(
        deaths=len(first.deaths) + len(second.deaths),
        events=effects.expected // 2,
        double_effects=effects.timeline_double + effects.tasks_too_many,
        wins=effects.wins,
        tasks=effects.tasks,
        settled_seconds=settled,
    )
    assert {*first.deaths, *second.deaths} == {137}
    assert books.balanced, books
    assert effects.exactly_once, effects
