"""Copies and their publisher in the databases of three services: compared, rebuilt, and reset after a restore."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from crm_activities.consumers import CONSUMERS as ACTIVITIES_CONSUMERS
from crm_contracts.sales.account import AccountCreated, AccountUpdated
from crm_contracts.sales.choices import Tier
from crm_contracts.sales.competitor import CompetitorCreated, CompetitorDeleted, CompetitorUpdated
from crm_contracts.sales.reference import SalesStageUpdated
from crm_kit.events.consumers import Consumers
from crm_kit.reconciling import compare, journal, rebuild, windows
from crm_kit.store.record import new_id
from crm_kit.testing.databases import Databases
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.competitor.model import Competitor
from crm_sales.sales_stage.model import SalesStage
from tests.integration.trio import UNHEARD, Change, Trio, no, opened

SOURCE = "/crm/sales"

FOLLOWER = Consumers("activities")
"""Activities with an additional step on accounts that keeps an order."""
FOLLOWER.groups.update(ACTIVITIES_CONSUMERS.groups)


@FOLLOWER.step(AccountCreated, group="activities.witness")
async def witness(event: AccountCreated, uow: UnitOfWork) -> None:
    """A step whose effect does not matter here."""


@pytest.fixture
async def trio(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trio]:
    monkeypatch.setattr(compare, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(compare, "LOOK_SECONDS", 0.01)
    async with opened(databases, FOLLOWER) as trio:
        yield trio


def competitor(name: str) -> Competitor:
    owner = {"owner_type": "user", "owner_id": new_id(), "business_unit_id": new_id()}
    return Competitor(name=name, product_ids=[], **owner)


async def make(trio: Trio) -> dict[str, UUID]:
    """Create three competitors that all services know."""
    made: dict[str, UUID] = {}

    async def add(uow: UnitOfWork) -> None:
        for name in ("Acme", "Bolt", "Core"):
            made[name] = uow.add(competitor(name), CompetitorCreated).id

    await trio.change(add)
    await trio.publish()
    return made


def renamed(record_id: UUID, name: str) -> Change:
    async def change(uow: UnitOfWork) -> None:
        record = await uow.load(Competitor, record_id)
        record.name = name
        uow.emit(record, CompetitorUpdated)

    return change


COPIES = "select name, version from record_ref where type = 'competitor' and not deleted order by name"


async def test_everybody_follows_a_restored_publisher_and_forgets_its_lost_future(trio: Trio) -> None:
    made = await make(trio)
    for report in (await trio.compared()).values():
        assert not report.diverged, report

    async def remove(uow: UnitOfWork) -> None:
        uow.remove(await uow.load(Competitor, made["Bolt"]), CompetitorDeleted)

    lost: list[UUID] = []

    async def add(uow: UnitOfWork) -> None:
        lost.append(uow.add(competitor("Lost"), CompetitorCreated).id)

    async def rename_stage(uow: UnitOfWork) -> None:
        stage = await uow.load(SalesStage, (await uow.execute(STAGE)).scalar_one())
        stage.name = "Lost"
        uow.emit(stage, SalesStageUpdated)

    for change in (renamed(made["Acme"], "Lost name"), remove, add, rename_stage):
        await trio.change(change, lost=True)
    found = await trio.compared()
    assert found["activities.refs"].counts == {"missing": 0, "extra": 1, "behind": 0, "ahead": 3}
    assert found["activities.refs"].ids["extra"] == [str(lost[0])]
    assert found["activities.timeline"].counts == {"missing": 0, "extra": 4, "behind": 0, "ahead": 0}
    assert found["insights.stages"].counts["ahead"] == 1

    epoch = await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)
    assert trio.said[0] == f"sales is in epoch {epoch.number}"
    await trio.change(renamed(made["Acme"], "Acme & Sons"))
    await trio.publish()
    assert ("Acme & Sons", 2) in await trio.shown(COPIES)
    for name in ("activities.refs", "activities.timeline", "insights.stages"):
        await trio.rebuilt(name)
    for report in (await trio.compared()).values():
        assert not report.diverged, report
    assert await trio.shown(COPIES) == [("Acme & Sons", 2), ("Bolt", 1), ("Core", 1)]
    assert await trio.shown("select * from timeline_event where record_id = $1", lost[0]) == []
    assert await trio.shown("select count(*) from timeline_event where record_id = $1", made["Acme"]) == [(2,)]

    await trio.change(add, lost=True)
    assert len(await trio.shown(COPIES)) == 4, "a record of the epoch, though it is not in the database"


async def test_what_the_lost_future_still_had_on_its_way_changes_nothing_after_a_rebuild(trio: Trio) -> None:
    made = await make(trio)
    trio.queue = []

    async def add(uow: UnitOfWork) -> None:
        uow.add(competitor("Lost"), CompetitorCreated)

    await trio.change(add, lost=True)
    await trio.change(renamed(made["Acme"], "Lost name"), lost=True)
    await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)
    for name in ("activities.refs", "activities.timeline"):
        await trio.rebuilt(name)
    late, trio.queue = trio.queue, None
    await trio.hand_on(late)
    assert await trio.shown(COPIES) == [("Acme", 1), ("Bolt", 1), ("Core", 1)]
    assert not (await trio.compared())["activities.timeline"].diverged


async def test_a_rebuilt_timeline_has_what_the_restored_publisher_had_not_sent_yet(trio: Trio) -> None:
    made = await make(trio)
    await trio.change(renamed(made["Acme"], "Acme 2"))
    await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)
    await trio.rebuilt("activities.timeline")
    assert trio.said[-1].endswith("1 added, 0 not in the outbox any more")
    await trio.publish()
    assert await trio.shown("select count(*) from timeline_event where record_id = $1", made["Acme"]) == [(2,)]
    found = (await trio.compared())["activities.timeline"]
    assert not found.diverged
    async with trio.sales.db.autocommit() as conn:
        history = "select count(*) from audit where entity_type = any($1::text[])"
        kinds = [pair.group for pair in trio.suite.pairs(publishers=["sales"]) if pair.group.name == found.group]
        followed = [entity.name for entity in kinds[0].followed("sales")]
        assert found.compared == (await conn.exec_driver_sql(history, (followed,))).scalar_one() > 0
    assert found.since is not None


async def test_a_month_of_history_that_goes_during_a_rebuild_takes_nothing_along(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(trio)
    await trio.change(renamed(made["Acme"], "Acme 2"))
    await trio.publish()
    kept = await trio.shown("select count(*) from timeline_event")
    digest = windows.digest

    async def after_a_drop(*arguments: Any) -> tuple[int, int]:
        async with trio.sales.db.begin() as conn:
            await conn.exec_driver_sql(
                "delete from audit where event_id <> (select event_id from audit order by at desc limit 1)"
            )
        return await digest(*arguments)

    monkeypatch.setattr(journal, "digest", after_a_drop)
    await trio.rebuilt("activities.timeline")
    assert await trio.shown("select count(*) from timeline_event") == kept


async def test_a_rebuild_mends_what_is_wrong_and_goes_on_where_it_was_interrupted(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(trio)
    monkeypatch.setattr(rebuild, "PAGE", 1)
    monkeypatch.setattr(rebuild, "SAY_SECONDS", 0.0)
    async with trio.followers["activities"].db.begin() as conn:
        await conn.exec_driver_sql("update record_ref set name = 'wrong' where type = 'competitor'")
        await conn.exec_driver_sql("delete from record_ref where id = $1", (made["Core"],))

    def interrupted(line: str) -> None:
        if "2 told" in line:
            raise InterruptedError

    [pair] = [pair for pair in trio.suite.pairs(["activities"], ["sales"]) if pair.group.name == "activities.refs"]
    with pytest.raises(InterruptedError):
        await trio.suite.rebuild(pair, interrupted)
    assert len([name for name, _ in await trio.shown(COPIES) if name in made]) == 2

    async def meanwhile() -> None:
        for number in range(5):
            await trio.change(renamed(made["Bolt"], f"Bolt {number}"))
            await trio.publish()

    done, again, _ = await asyncio.gather(
        trio.suite.rebuild(pair, trio.said.append), trio.suite.rebuild(pair, trio.said.append), meanwhile()
    )
    assert f"{pair.group.name} from {SOURCE}: goes on" in trio.said
    assert await trio.shown(COPIES) == [("Acme", 1), ("Bolt 4", 6), ("Core", 1)]
    assert (done.failed, again.failed) == (0, 0)
    assert not (await trio.compared())["activities.refs"].diverged


async def test_what_is_on_its_way_does_not_count_and_what_is_parked_does(trio: Trio) -> None:
    made = await make(trio)
    await trio.change(renamed(made["Acme"], "Acme 2"))
    unpublished = (await trio.compared(seconds=0.1))["activities.refs"]
    assert (unpublished.diverged, unpublished.in_flight) == (False, 1)
    async with trio.sales.db.begin() as conn:
        await conn.exec_driver_sql(UNHEARD)
    queued = (await trio.compared(no, seconds=0.1))["activities.refs"]
    assert (queued.diverged, queued.in_flight) == (False, 1)
    lost = (await trio.compared())["activities.refs"]
    assert (lost.counts["behind"], lost.ids["behind"]) == (1, [str(made["Acme"])])
    kept = "select behind, missing from projection_check where consumer = 'activities.refs' and source = $1"
    assert await trio.shown(kept, SOURCE) == [(1, 0)]
    await trio.rebuilt("activities.refs")
    assert not (await trio.compared())["activities.refs"].diverged
    assert await trio.shown(kept, SOURCE) == [(0, 0)]


async def test_versions_that_are_equal_in_two_stories_are_not_taken_for_the_same(trio: Trio) -> None:
    made = await make(trio)
    await trio.change(renamed(made["Acme"], "Lost name"), lost=True)
    await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)
    await trio.change(renamed(made["Acme"], "Acme & Sons"))
    unpublished = (await trio.compared(seconds=0.1))["activities.refs"]
    assert (unpublished.diverged, unpublished.in_flight) == (False, 1)
    async with trio.sales.db.begin() as conn:
        await conn.exec_driver_sql(UNHEARD)
    found = (await trio.compared())["activities.refs"]
    assert ("Lost name", 2) in await trio.shown(COPIES)
    assert found.counts == {"missing": 0, "extra": 0, "behind": 1, "ahead": 0}
    assert found.ids["behind"] == [str(made["Acme"])]
    await trio.rebuilt("activities.refs")
    assert not (await trio.compared())["activities.refs"].diverged
    assert ("Acme & Sons", 2) in await trio.shown(COPIES)


async def test_copies_of_an_epoch_that_the_publisher_does_not_know_any_more_are_ahead(trio: Trio) -> None:
    made = await make(trio)
    await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)
    await trio.rebuilt("activities.refs")
    async with trio.sales.db.begin() as conn:
        # Like a backup that was made before that epoch.
        await conn.exec_driver_sql("delete from database_epoch")
    found = (await trio.compared())["activities.refs"]
    assert found.counts["ahead"] == found.compared >= len(made)


POSITIONS = """
select entity, epoch, version, deleted from inbox_position where consumer = 'activities.witness' and entity = any($1)
"""


async def test_steps_go_on_with_the_first_event_of_the_epoch(trio: Trio) -> None:
    made: list[UUID] = []

    async def add(uow: UnitOfWork) -> None:
        owner = {"owner_type": "user", "owner_id": new_id(), "business_unit_id": new_id()}
        made.append(uow.add(Account(name="Acme", tier=Tier.STANDARD, credit_hold=False, **owner), AccountCreated).id)

    async def rename(uow: UnitOfWork) -> None:
        account = await uow.load(Account, made[0])
        account.name += " again"
        uow.emit(account, AccountUpdated)

    await trio.change(add)
    await trio.change(rename)
    await trio.publish()
    for change in (rename, add):
        await trio.change(change, lost=True)
    assert {row[2] for row in await trio.shown(POSITIONS, made)} == {3, 1}
    assert (await trio.compared())["activities.witness"].ids["ahead"] == [str(made[0])]
    number = (await trio.suite.begin_epoch("sales", reason="restored", tell=trio.said.append)).number
    assert dict.fromkeys(await trio.shown(POSITIONS, made)) == dict.fromkeys(
        [(made[0], number, 2, False), (made[1], number, 1, True)]
    )
    await trio.change(rename)
    await trio.publish()
    assert (made[0], number, 3, False) in await trio.shown(POSITIONS, made)


STAGE = SalesStage.__table__.select().with_only_columns(SalesStage.__table__.c.id).limit(1)
