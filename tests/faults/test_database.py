"""The database restarts or crashes under load: clients are asked to retry, and no answer is wrong."""

import signal
from collections.abc import Awaitable, Callable

import pytest

from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import mixed_story
from .judging import calm, event_ids, held_against_ledger, read_books, read_effects
from .machines import Machines
from .stage import Stage, until
from .witness import call_witness, hear_witness

Fault = Callable[[Machines, str], Awaitable[None]]


async def restart(machines: Machines, database: str) -> None:
    """Restart it as an operator does: all connections are closed."""
    await machines.postgres.end(signal.SIGINT)
    await machines.postgres.start()


async def power_cut(machines: Machines, database: str) -> None:
    """End it at once. It recovers from its log when it starts again."""
    await machines.postgres.end(signal.SIGQUIT)
    await machines.postgres.start()


async def crash(machines: Machines, database: str) -> None:
    """Kill one of its processes, so that it closes all connections and recovers from its log."""
    await machines.kill_a_backend(database)


@pytest.mark.parametrize("fault", [restart, power_cut, crash])
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.large)])
async def test_a_database_that_goes_away_costs_a_503_and_nothing_else(
    stage: Stage, own_machines: Machines, drive: Drive, figures: Figures, fault: Fault, times: int
) -> None:
    await call_witness(stage.amqp_url)
    api, *others = await stage.started(("sales", "api"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        async with driver.telling(mixed_story, clients=4):
            for _ in range(times):
                await until(driver.ledger.reaches(30), "commands go through")
                await fault(own_machines, stage.database("sales"))
                await until(driver.ledger.reaches(30), "commands go through again")
        settled = await calm(stage)
        ledger = driver.ledger
    expected = await event_ids(stage)
    witnessed = await hear_witness(stage.amqp_url, expected)
    books, effects = await read_books(stage, "sales"), await read_effects(stage)
    differences = await held_against_ledger(stage, ledger)
    figures(
        times=times,
        answers=dict(ledger.answers),
        without_retry_after=ledger.retry_after_missing,
        false_2xx=len([line for line in differences if line.startswith("false 2xx")]),
        slowest_seconds=ledger.longest_seconds,
        events=len(expected),
        parked=effects.parked,
        order_violations=len(witnessed.violations),
        settled_seconds=settled,
    )
    # 429: other requests of the one caller wait for the database, too.
    assert ledger.answers.keys() <= {"200", "201", "429", "503", "replayed"}
    assert ledger.answers["503"] > 0, "the database was not away"
    assert ledger.retry_after_missing == 0
    assert differences == []
    assert expected <= witnessed.first.keys()
    assert witnessed.violations == []
    assert books.balanced, books
    assert effects.exactly_once, effects
    assert all(member.deaths == [] for member in (api, *others)), "a process gave up instead of waiting"
