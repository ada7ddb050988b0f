"""Tests of the judges: each kind of loss, duplicate and disorder is planted once and must be detected."""

from uuid import uuid4

from .conftest import Drive
from .driver import mixed_story
from .judging import calm, held_against_ledger, read_books, read_effects
from .stage import Stage
from .witness import Witnessed

ONE_EVENT = "(select event_id from inbox where consumer = 'activities.follow_up' order by event_id limit 1)"

UNBALANCED = (
    ("update lead set version = version + 1", "update lead set version = version - 1"),
    ("update outbox set entity_version = entity_version + 1", "update outbox set entity_version = entity_version - 1"),
    ("update outbox set state = 'pending' where seq % 2 = 0", "update outbox set state = 'published'"),
    ("update audit set version = version + 1000", "update audit set version = version - 1000"),
)
"""In the database of sales: a statement that unbalances the books, and one that balances them again."""

NOT_ONCE = (
    (
        f"update inbox set state = 'parked' where consumer = 'activities.follow_up' and event_id = {ONE_EVENT}",
        "update inbox set state = 'done'",
    ),
    (
        f"create temp table one as select * from inbox where consumer = 'activities.follow_up' and event_id = {ONE_EVENT};"
        " delete from inbox where consumer = 'activities.follow_up' and event_id = (select event_id from one)",
        "insert into inbox select * from one; drop table one",
    ),
    ("update record_ref set version = version + 1", "update record_ref set version = version - 1"),
    (
        "create temp table one as select * from timeline_event order by id limit 1;"
        " delete from timeline_event where id = (select id from one)",
        "insert into timeline_event select * from one; drop table one",
    ),
    ("update timeline_event set version = version + 1", "update timeline_event set version = version - 1"),
    ("update record_ref set version = version - 1", "update record_ref set version = version + 1"),
    (
        "insert into timeline_event select gen_random_uuid(), at, id, type, actor, data, version from timeline_event",
        "delete from timeline_event where record_id not in (select id from record_ref)",
    ),
    (
        "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at, state)"
        " select gen_random_uuid(), shard, entity_type, gen_random_uuid(), 1, type, body, created_at, 'published'"
        " from outbox where type like '%.task.created.v1'",
        "delete from outbox where entity_id not in (select id from task)",
    ),
)
"""In the database of activities: a statement that causes a lost or doubled effect, and one that reverts it."""


async def test_planted_violations_are_seen(stage: Stage, drive: Drive) -> None:
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        await driver.tell(mixed_story, 2)
        await calm(stage)
        ledger = driver.ledger
    for member in stage.members:
        await member.kill()
    assert await held_against_ledger(stage, ledger) == []
    assert (await read_books(stage, "sales")).balanced
    assert (await read_effects(stage)).exactly_once

    async with stage.connect("sales") as conn:
        for plant, undo in UNBALANCED:
            await conn.execute(plant)
            assert not (await read_books(stage, "sales")).balanced, plant
            await conn.execute(undo)
            assert (await read_books(stage, "sales")).balanced, undo
    async with stage.connect("activities") as conn:
        for plant, undo in NOT_ONCE:
            await conn.execute(plant)
            assert not (await read_effects(stage)).exactly_once, plant
            await conn.execute(undo)
            assert (await read_effects(stage)).exactly_once, undo

    acknowledged = next(iter(ledger.versions))
    ledger.versions[acknowledged] += 1
    assert len(await held_against_ledger(stage, ledger)) == 1, "an acknowledged change that is not there"
    del ledger.versions[acknowledged]
    assert len(await held_against_ledger(stage, ledger)) == 1, "an effect that nobody was told of"


def test_a_version_that_arrives_before_its_predecessor_is_a_violation() -> None:
    lead, kind = uuid4(), "crm.sales.lead.updated.v1"
    in_order = Witnessed(first={uuid4(): (lead, version, kind) for version in (1, 2, 3)})
    swapped = Witnessed(first={uuid4(): (lead, version, kind) for version in (1, 3, 2)})
    gap = Witnessed(first={uuid4(): (lead, version, kind) for version in (1, 3)})
    assert in_order.violations == []
    assert len(swapped.violations) == len(gap.violations) == 1
