"""A full queue drains, whatever kind of group reads it, and also when the group can take none of it."""

import asyncio
from collections.abc import Sequence

import pytest

from crm_contracts.envelope import Envelope
from crm_kit import clock
from crm_kit.broker.publishing import Publisher
from crm_kit.copies.projections import project
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.process.runtime import Runtime
from crm_kit.testing.figures import Figures
from crm_kit.work.uow import UnitOfWork

from . import miniature
from .conftest import Story, rows, send, until
from .test_intake import running

PAGE = 500


async def copy_raw(envelopes: Sequence[Envelope], uow: UnitOfWork) -> None:
    copied = [(envelope, {"name": envelope.data["record"]["name"]}) for envelope in envelopes]
    await project(uow, miniature.ThingCopy, copied)


def reading(kind: str) -> Consumers:
    consumers = Consumers("mini")
    match kind:
        case "projection":
            consumers.projection(*miniature.EVERY, group="mini.copies")(miniature.keep_copies)
        case "raw projection":
            consumers.raw_projection(*miniature.EVERY, group="mini.copies")(copy_raw)
        case "projection of each event":
            consumers.projection(*miniature.EVERY, group="mini.journal", each_event=True)(miniature.keep_journal)
        case "step" | "step that fails":
            consumers.step(*miniature.EVERY, group="mini.echoes")(miniature.echo)
        case "access":
            consumers.projection(*miniature.EVERY, group="mini.copies")(miniature.keep_copies)
            consumers.groups["mini.copies"].access = True
        case "all":
            return miniature.consumers
    return consumers


@pytest.mark.parametrize(
    "kind", ["projection", "raw projection", "projection of each event", "step", "access", "all", "step that fails"]
)
@pytest.mark.parametrize("events", [150, pytest.param(20_000, marks=pytest.mark.large)])
async def test_a_full_queue_drains(
    kind: str, events: int, runtime: Runtime, publisher: Publisher, amqp_url: str, figures: Figures
) -> None:
    consumers = reading(kind)
    name = "poison step" if kind == "step that fails" else "a name"
    for start in range(0, events, PAGE):
        await send(publisher, *(Story().tell("created", name) for _ in range(start, min(events, start + PAGE))))
    bound = {(group.name, source): clock.now() for group, source in consumers.sources()}
    dispatcher = Dispatcher(consumers, runtime, bound)
    state = "state = 'pending' and attempts > 0" if kind == "step that fails" else "state = 'done'"
    groups = len(consumers.groups)

    async def settled() -> bool:
        await asyncio.sleep(0.1)  # between two looks, or they would be what is measured
        return await rows(runtime, f"select count(*)::int from inbox where {state}") == [(events * groups,)]  # noqa: S608  # a constant

    began = clock.monotonic()
    async with running(Intake(dispatcher, amqp_url)):
        await until(settled, seconds=600)
    seconds = clock.monotonic() - began
    figures(kind=kind, events=events, seconds=seconds, per_second=round(events / seconds))
    assert await rows(runtime, "select count(*)::int from inbox where body is not null") == [
        (events if kind == "step that fails" else 0,)
    ]
