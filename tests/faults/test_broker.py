"""The broker dies or freezes under load: commands continue, and all events arrive later."""

import signal

import pytest

from crm_kit.clock import monotonic
from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import Driver, mixed_story
from .judging import calm, event_ids, held_against_ledger, read_books, read_effects
from .machines import Machines
from .stage import Stage, until
from .witness import call_witness, hear_witness


async def judge(stage: Stage, driver: Driver, figures: Figures, away: float) -> None:
    """Check that nothing is lost or doubled, and that no client noticed."""
    settled = await calm(stage)
    expected = await event_ids(stage)
    witnessed = await hear_witness(stage.amqp_url, expected)
    books, effects = await read_books(stage, "sales"), await read_effects(stage)
    figures(
        away_seconds=away,
        answers=dict(driver.ledger.answers),
        slowest_seconds=driver.ledger.longest_seconds,
        events=len(expected),
        lost=len(expected - witnessed.first.keys()),
        published_again=witnessed.repeated,
        order_violations=len(witnessed.violations),
        settled_seconds=settled,
    )
    assert driver.ledger.answers.keys() - {"replayed", "429"} <= {"200", "201"}, (
        "the outbox holds what the broker cannot take"
    )
    assert await held_against_ledger(stage, driver.ledger) == []
    assert expected <= witnessed.first.keys()
    assert witnessed.violations == []
    assert books.balanced, books
    assert effects.exactly_once, effects


@pytest.mark.parametrize("clients", [2, pytest.param(8, marks=pytest.mark.large)])
async def test_a_broker_killed_under_load_loses_nothing(
    stage: Stage, own_machines: Machines, drive: Drive, figures: Figures, clients: int
) -> None:
    await call_witness(stage.amqp_url)
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        async with driver.telling(mixed_story, clients=clients):
            await until(driver.ledger.reaches(40), "commands go through")
            began = monotonic()
            await own_machines.rabbitmq.end(signal.SIGKILL)
            await until(driver.ledger.reaches(40), "commands go through without a broker")
            await own_machines.rabbitmq.start()
            away = monotonic() - began
        await judge(stage, driver, figures, away)


@pytest.mark.parametrize("seconds", [6, pytest.param(20, marks=pytest.mark.large)])
async def test_a_frozen_broker_is_waited_for(
    stage: Stage, own_machines: Machines, drive: Drive, figures: Figures, seconds: int
) -> None:
    """A broker that sends nothing but keeps its connections: confirms and acknowledgements do not arrive."""
    await call_witness(stage.amqp_url)
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        async with driver.telling(mixed_story, clients=2):
            await until(driver.ledger.reaches(40), "commands go through")
            own_machines.rabbitmq.freeze()
            try:
                thaw = monotonic() + seconds
                before = len(driver.ledger.keys)
                await until(lambda: monotonic() > thaw, "the broker has been frozen for long enough")
                assert len(driver.ledger.keys) > before, "commands go through while the broker is frozen"
            finally:
                own_machines.rabbitmq.thaw()
        await judge(stage, driver, figures, seconds)
