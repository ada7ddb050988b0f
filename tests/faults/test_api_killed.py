"""``kill -9`` of the API before and after its commits. Clients repeat requests with the same Idempotency-Key."""

import random

import pytest

from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import Driver, mixed_story
from .judging import calm, held_against_ledger, read_books, read_effects
from .processes import Member
from .stage import Stage, until

LIVES = 3


async def judge(stage: Stage, driver: Driver, api: Member, figures: Figures) -> None:
    """Check that every row has its event, every event its row, and every key one effect."""
    await calm(stage)
    books, effects = await read_books(stage, "sales"), await read_effects(stage)
    figures(
        deaths=len(api.deaths),
        keys=len(driver.ledger.keys),
        events=books.events,
        lost_answers=driver.ledger.answers["lost"],
        replayed=driver.ledger.answers["replayed"],
        rows_without_event=books.rows_without_event,
        events_without_row=books.events_without_row,
    )
    assert await held_against_ledger(stage, driver.ledger) == []
    assert books.balanced, books
    assert effects.exactly_once, effects
    assert set(driver.ledger.answers) <= {"200", "201", "lost", "replayed", "409", "429"}


@pytest.mark.parametrize("failpoint", ["uow.before_commit", "uow.after_commit"])
@pytest.mark.parametrize("stories", [12, pytest.param(500, marks=pytest.mark.large)])
async def test_an_api_killed_at_its_commit_acts_once_for_each_key(
    stage: Stage, drive: Drive, figures: Figures, failpoint: str, stories: int
) -> None:
    api, worker = stage.member("sales", "api"), stage.member("sales", "worker")
    activities = stage.member("activities", "worker")
    await api.start(f"{failpoint}:9")
    await worker.start()
    await activities.start()
    async with drive(api.url) as driver:
        async with api.supervised(*[f"{failpoint}:{9 + 4 * life}" for life in range(LIVES - 1)]):
            await driver.tell(mixed_story, stories)
            await until(lambda: len(api.deaths) >= LIVES, "the api has died at its failpoint")
        assert api.deaths[:LIVES] == [137] * LIVES
        if failpoint == "uow.after_commit":
            assert driver.ledger.answers["replayed"] >= LIVES, "what was committed and not answered is answered again"
        await judge(stage, driver, api, figures)


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.large)])
async def test_an_api_killed_at_random_moments_acts_once_for_each_key(
    stage: Stage, drive: Drive, figures: Figures, kills: int
) -> None:
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        async with api.supervised(), driver.telling(mixed_story, clients=8):
            for _ in range(kills):
                await api.ready()
                await until(driver.ledger.reaches(random.randint(20, 60)), "commands go through")
                await api.kill()
        assert api.deaths == [-9] * kills
        await judge(stage, driver, api, figures)
