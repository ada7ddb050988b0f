"""Three relays on one outbox, each killed repeatedly between publishing and marking events as published."""

import asyncio

import pytest

from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import mixed_story
from .judging import calm, event_ids, held_against_ledger, read_books, read_effects
from .stage import Stage, until
from .witness import call_witness, hear_witness

LIVES = 2
"""Deaths of each relay. Its third process stays."""


@pytest.mark.parametrize("stories", [30, pytest.param(1100, marks=pytest.mark.large)])
async def test_three_relays_killed_between_publish_and_mark_lose_nothing_and_keep_order(
    stage: Stage, drive: Drive, figures: Figures, stories: int
) -> None:
    """A story has nine events. Each relay dies after its third and again after its sixth batch."""
    await call_witness(stage.amqp_url)
    api, activities = stage.member("sales", "api"), stage.member("activities", "worker")
    relays = [stage.member("sales", "worker", number=number) for number in (1, 2, 3)]
    await asyncio.gather(api.start(), activities.start(), *(relay.start("relay.after_publish:3") for relay in relays))
    async with drive(api.url) as driver:
        first, second, third = relays
        again = ["relay.after_publish:6"] * (LIVES - 1)
        async with first.supervised(*again), second.supervised(*again), third.supervised(*again):
            await driver.tell(mixed_story, stories)
            # The last relay may find nothing to publish, so the load continues until each has died that often.
            async with driver.telling(mixed_story, clients=2):
                await until(lambda: all(len(r.deaths) >= LIVES for r in relays), "each relay has died", seconds=120)
            settled = await calm(stage)
        assert await held_against_ledger(stage, driver.ledger) == []
    assert all(code == 137 for relay in relays for code in relay.deaths)
    expected = await event_ids(stage)
    witnessed = await hear_witness(stage.amqp_url, expected)
    books, effects = await read_books(stage, "sales"), await read_effects(stage)
    figures(
        deaths=sum(len(relay.deaths) for relay in relays),
        events=len(expected),
        missing=len(expected - witnessed.first.keys()),
        published_again=witnessed.repeated,
        order_violations=len(witnessed.violations),
        double_effects=effects.timeline_double + effects.tasks_too_many,
        settled_seconds=settled,
    )
    assert witnessed.repeated > 0, "no relay died with a batch in the broker's hands"
    assert expected <= witnessed.first.keys()
    assert witnessed.violations == []
    assert books.balanced, books
    assert effects.exactly_once, effects
