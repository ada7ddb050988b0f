"""Every message arrives three times and in the worst order. Steps happen once, in the order of the events."""

import random
from collections import defaultdict
from uuid import UUID

import orjson
import pytest

from crm_kit.broker.messages import Outcome, Outgoing, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.testing.figures import Figures

from .conftest import Drive
from .driver import Driver, lead_story
from .judging import WON, calm, read_effects
from .stage import Stage, until

TIMES = 3
WINS = 3


async def often_won(driver: Driver, name: str) -> None:
    """Win, reopen and win a deal again: its versions 2, 4 and 6 are wins, each of which causes a task."""
    account = await driver.command("/accounts", {"name": name})
    value = {"amount": "10.00", "currency": "EUR"}
    customer = {"type": "account", "id": account["id"]}
    deal = await driver.command("/opportunities", {"name": name, "customer": customer, "estimated_value": value})
    for verb in ("win", "reopen", "win", "reopen", "win"):
        deal = await driver.command(f"/opportunities/{deal['id']}/{verb}")


async def take_events(stage: Stage) -> list[tuple[int, Outgoing]]:
    """Return what the relay of sales would publish, with versions. It then counts as published."""
    async with stage.connect("sales") as conn:
        rows = await conn.fetch(
            "update outbox set state = 'published' returning id, seq, entity_id, entity_version, type, body"
        )
    messages = []
    for row in rows:
        headers = {
            "id": str(row["id"]),
            "type": row["type"],
            "source": "/crm/sales",
            "subject": str(row["entity_id"]),
            "crm-version": row["entity_version"],
            "crm-seq": row["seq"],
        }
        message = outgoing(bytes(row["body"]), row["type"], message_id=headers["id"], headers=headers)
        messages.append((row["entity_version"], message))
    return messages


async def steps(stage: Stage) -> dict[UUID, list[int]]:
    """Return for each deal the versions that became tasks, in the order in which the tasks were made."""
    async with stage.connect("sales") as conn:
        won = await conn.fetch("select id, entity_id, entity_version from outbox where type = $1", WON)
    versions = {row["id"]: (row["entity_id"], row["entity_version"]) for row in won}
    made: dict[UUID, list[int]] = defaultdict(list)
    async with stage.connect("activities") as conn:
        for row in await conn.fetch(
            "select convert_from(body, 'utf8') as body from outbox where type like '%.task.created.v1' order by seq"
        ):
            deal, version = versions[UUID(orjson.loads(row["body"])["causationid"])]
            made[deal].append(version)
    return made


@pytest.mark.parametrize("order", ["shuffled", "versions reversed"])
@pytest.mark.parametrize("stories", [15, pytest.param(700, marks=pytest.mark.large)])
async def test_whatever_the_order_every_event_takes_effect_once(
    stage: Stage, drive: Drive, figures: Figures, order: str, stories: int
) -> None:
    api, activities = await stage.started(("sales", "api"), ("activities", "worker"))

    async def bound() -> bool:
        async with stage.connect("activities") as conn:
            return bool(await conn.fetchval("select exists (select from inbox_bound)"))

    # Records created before this would count as known, and any of their versions could be the first.
    await until(bound, "activities listens")
    async with drive(api.url) as driver:
        await driver.tell(lead_story, stories)
        await driver.tell(often_won, stories)
    messages = [pair for pair in await take_events(stage) for _ in range(TIMES)]
    random.shuffle(messages)
    if order == "versions reversed":
        messages.sort(key=lambda pair: -pair[0])
    publisher = Publisher(stage.amqp_url, name="repeater")
    try:
        for start in range(0, len(messages), 200):
            batch = [message for _, message in messages[start : start + 200]]
            assert set(await publisher.publish(EVENTS, batch, seconds=30)) == {Outcome.CONFIRMED}
    finally:
        await publisher.close()
    settled = await calm(stage)
    effects, made = await read_effects(stage), await steps(stage)
    figures(
        messages=len(messages),
        effects=effects.handled,
        double=effects.timeline_double + effects.tasks_too_many,
        stale_copies=effects.stale_copies,
        steps=sum(map(len, made.values())),
        settled_seconds=settled,
    )
    assert effects.exactly_once, effects
    assert len(made) == stories
    assert all(sorted(versions) == [2, 4, 6] for versions in made.values()), "each time that it was won"
    assert activities.deaths == []
