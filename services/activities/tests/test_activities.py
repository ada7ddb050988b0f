"""All activities: the view over the types, and lists across types, with access by the privileges on each type."""

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_activities.activity.model import Activity
from crm_activities.activity.routes import ACTIVITIES
from crm_activities.activity.types import REMINDERS, TYPES
from crm_activities.tables import ENTITIES
from crm_activities.worker import TIMERS
from crm_contracts.catalogue import entity_for
from crm_contracts.sales.account import AccountCreated
from crm_contracts.sales.lead import LeadCreated
from crm_kit.access.privileges import Depth, Principal, UnitTree
from crm_kit.events import timers
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.records.listing import Query, query_records
from crm_kit.store.notify import Notifier
from crm_kit.testing import Client, announced, naively_covers, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

API = "/api/v1"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
NEEDED = {
    "appointment": {"scheduled_start_at": "2096-02-01T09:00:00Z", "scheduled_end_at": "2096-02-01T10:00:00Z"},
}
NEEDED["recurring_appointment"] = {**NEEDED["appointment"], "rule": "FREQ=DAILY;COUNT=1"}
"""What a type needs beside a subject."""
ALONE = sorted(set(TYPES) - {"recurring_appointment"})
"""The types of which a new one makes no other activity."""
PAST, TO_COME = "2026-01-01T09:00:00Z", "2096-01-01T09:00:00Z"


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, kind: str, **fields: Any) -> dict[str, Any]:
    entity = entity_for(kind)
    assert entity is not None
    answer = await client.post(f"{API}/{entity.collection}", {"subject": "Call Ada", **NEEDED.get(kind, {}), **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


def without(kind: str) -> Principal:
    """A caller who can read every type except one."""
    everything = principal(id=ME).privileges
    return principal(id=ME, privileges={name: "00000" if name == kind else held for name, held in everything.items()})


def test_every_type_has_its_place() -> None:
    kinds = set(TYPES.values())
    assert kinds <= set(ENTITIES)
    assert kinds - REMINDERS.keys() == {TYPES["recurring_appointment"]}
    assert {name: kind.entity() for name, kind in TYPES.items()} == {name: name for name in TYPES}


@pytest.mark.parametrize("kind", TYPES)
async def test_the_view_shows_every_type_with_the_columns_all_share(rows: Any, client: Client, kind: str) -> None:
    columns = await rows("select column_name from information_schema.columns where table_name = 'activity'")
    assert {row[0] for row in columns} == {str(column.key) for column in Activity.__table__.c}
    one = await made(client, kind)
    assert (kind, one["id"]) in await rows("select type, id::text from activity")


async def test_activities_are_listed_across_types(client: Client, story: Any, hear: Any) -> None:
    account = story(owner=ME)
    await hear(account.tell(AccountCreated, {"name": "Engines Ltd", "status": "active"}))
    about = {"type": "account", "id": str(account.id)}
    cast = [
        await made(client, "task", subject="A", regarding=about, priority="high"),
        await made(client, "phone_call", subject="B", regarding=about),
        await made(client, "task", subject="C", priority="low"),
    ]
    answer = await client.get(f"{API}/activities?sort=subject&count=exact&limit=1")
    assert (answer.status, answer.json["count"]) == (200, 3)
    found = [*answer.json["items"]]
    while answer.json["next"]:
        answer = await client.get(f"{API}/activities?sort=subject&limit=1&after={answer.json['next']}")
        found += answer.json["items"]
    assert [(item["type"], item["id"]) for item in found] == [
        *(("task", cast[0]["id"]), ("phone_call", cast[1]["id"]), ("task", cast[2]["id"]))
    ]
    assert [item["allowed_actions"] for item in found] == [one["allowed_actions"] for one in cast]
    assert found[1]["regarding"] == cast[1]["regarding"]

    async def subjects(path: str) -> list[str]:
        return [item["subject"] for item in (await client.get(f"{API}/activities?{path}")).json["items"]]

    assert await subjects("sort=-priority") == ["A", "B", "C"]
    assert await subjects("type=phone_call") == ["B"]
    assert await subjects("type=case") == []
    both = {"all": [{"field": "type", "op": "eq", "value": "phone_call"}, regarding_is(account.id)]}
    listed = await client.post(f"{API}/activities/query", {"filter": both})
    assert [item["id"] for item in listed.json["items"]] == [cast[1]["id"]]


NOBODY = "'00000000-0000-7000-8000-000000000000'"
PLANNED = {
    "a list": "select id from activity where owner_id = {} order by created_at desc, id desc limit 51",
    "a timeline": "select id from activity where regarding_id = {} order by happened_at desc, id desc limit 51",
}


@pytest.mark.parametrize("asked", PLANNED)
async def test_a_page_reads_a_page_of_each_type(runtime: Runtime, asked: str) -> None:
    # If a column had different types in two activity types, or were computed, the database would have to sort all rows.
    async with runtime.db.begin() as conn:
        for slower in ("seqscan", "sort", "bitmapscan"):
            await conn.exec_driver_sql(f"set local enable_{slower} = off")
        plan = "\n".join(row[0] for row in await conn.exec_driver_sql("explain " + PLANNED[asked].format(NOBODY)))
    assert "Merge Append" in plan, plan
    assert plan.count("Scan Backward using ix_") == len(TYPES), plan


def regarding_is(record_id: UUID) -> dict[str, str]:
    return {"field": "regarding.id", "op": "eq", "value": str(record_id)}


async def test_activities_are_seen_by_the_privilege_on_their_type(client: Client, client_for: Any) -> None:
    for kind in ALONE:
        await made(client, kind)
    mine = client_for(principal(Depth.USER))
    own = [await made(mine, kind) for kind in ALONE]
    listed = (await mine.get(f"{API}/activities?count=exact&sort=created_at")).json
    assert ([item["id"] for item in listed["items"]], listed["count"]) == ([one["id"] for one in own], len(ALONE))
    others = set(ALONE) - {"task"}
    most_types = (await client_for(principal(task=Depth.NONE)).get(f"{API}/activities?count=exact")).json
    assert ({item["type"] for item in most_types["items"]}, most_types["count"]) == (others, 2 * len(others))
    own_only: dict[str, Any] = dict.fromkeys(others, Depth.USER)
    mixed = (await client_for(principal(**own_only)).get(f"{API}/activities?count=exact")).json
    assert ([item["type"] for item in mixed["items"]], mixed["count"]) == (["task", "task"], 2)
    refused = await client_for(principal(privileges={})).get(f"{API}/activities")
    assert (refused.status, refused.problem) == (403, "forbidden")


UNITS = [UUID(int=n) for n in range(1, 5)]
PARENTS = {UNITS[0]: None, UNITS[1]: UNITS[0], UNITS[2]: UNITS[1], UNITS[3]: UNITS[0]}
OWNERS = [ME, *(UUID(int=n) for n in range(101, 104))]
OWNED = st.lists(st.tuples(st.sampled_from(OWNERS), st.sampled_from(UNITS)), min_size=6, max_size=6)
DEPTHS = st.fixed_dictionaries({kind: st.sampled_from(Depth) for kind in TYPES})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owned=OWNED,
    depths=DEPTHS.filter(lambda found: any(found.values())),
    unit=st.sampled_from(UNITS),
    teams=st.sets(st.sampled_from(OWNERS[1:])),
    limit=st.integers(1, 4),
)
async def test_a_list_of_all_types_is_what_the_depth_on_each_type_covers(
    runtime: Runtime,
    client: Client,
    rows: Any,
    owned: list[tuple[UUID, UUID]],
    depths: dict[str, Depth],
    unit: UUID,
    teams: set[UUID],
    limit: int,
) -> None:
    known = await rows("select id, type from activity")
    if not known:
        for n in range(len(owned)):
            await made(client, ALONE[n % len(ALONE)])
        known = await rows("select id, type from activity")
    async with runtime.db.begin() as conn:
        for (record_id, kind), (owner, its_unit) in zip(known, owned, strict=True):
            await conn.exec_driver_sql(
                f"update {kind} set owner_id = $2, business_unit_id = $3 where id = $1",  # noqa: S608  # a table of ours
                (record_id, owner, its_unit),
            )
    held = {kind: f"0{int(depth)}000" for kind, depth in depths.items()}
    caller = principal(id=ME, unit=unit, teams=tuple(teams), privileges=held)
    runtime.directory.tree = UnitTree(PARENTS)
    expected = {
        record_id
        for (record_id, kind), row in zip(known, owned, strict=True)
        if naively_covers(caller, kind, *row, PARENTS)
    }
    found: list[UUID] = []
    query: Query | None = Query(limit=limit, count="exact")
    while query is not None:
        uow = UnitOfWork(runtime, caller, Cause("a test"))
        try:
            page = orjson.loads((await query_records(uow, ACTIVITIES, query)).body)
        finally:
            await uow.close()
        found += [UUID(item["id"]) for item in page["items"]]
        assert page["count"] == len(expected)
        query = query.model_copy(update={"after": page["next"]}) if page["next"] else None
    assert len(found) == len(expected)
    assert set(found) == expected


async def test_a_timeline_shows_every_type_by_its_privilege(
    client: Client, client_for: Any, story: Any, hear: Any
) -> None:
    lead = story(owner=ME)
    await hear(lead.tell(LeadCreated))
    regarding = {"type": "lead", "id": str(lead.id)}
    for kind in ALONE:
        await made(client, kind, subject=kind, regarding=regarding)
    path = f"{API}/timeline?regarding={lead.id}"
    items = (await client.get(path)).json["items"]
    assert {item["type"]: item["title"] for item in items if item["kind"] == "activity"} == {k: k for k in ALONE}
    assert all(one["at"] >= other["at"] for one, other in pairwise(items))
    for kind in ALONE:
        shown = (await client_for(without(kind)).get(path)).json["items"]
        assert {item["type"] for item in shown if item["kind"] == "activity"} == set(ALONE) - {kind}


REMINDED = sorted(kind.entity() for kind in REMINDERS)


@pytest.mark.parametrize("kind", REMINDED)
async def test_an_owner_is_reminded_once_when_the_moment_has_come(
    runtime: Runtime, client: Client, rows: Any, kind: str
) -> None:
    entity = entity_for(kind)
    assert entity is not None
    due = await made(client, kind, subject="Due", remind_at=PAST)
    await made(client, kind, subject="Later", remind_at=TO_COME)
    await made(client, kind, subject="Never")
    done = await made(client, kind, subject="Done", remind_at=PAST)
    await client.post(f"{API}/{entity.collection}/{done['id']}/complete")
    loop = TimerLoop(TIMERS, runtime)
    assert await loop.fire_due() == 1
    assert await loop.fire_due() == 0
    async with runtime.db.autocommit() as conn:
        reminder = (await announced(conn))[-1]
    assert (reminder["type"], reminder["subject"]) == (f"crm.activities.{kind}.reminder_due.v1", due["id"])
    assert (reminder["entityversion"], reminder["actor"]) == (2, "system:activities")
    assert reminder["data"]["remind_at"] == PAST
    reminded = await rows("select id::text from activity where reminded_at is not null")
    assert reminded == [(due["id"],)]


@pytest.mark.parametrize("kind", REMINDED)
async def test_a_reminder_that_is_due_soon_wakes_the_timers(client: Client, runtime: Runtime, kind: str) -> None:
    entity = entity_for(kind)
    assert entity is not None
    heard: list[str] = []
    ended = asyncio.Event()
    listener = Notifier(runtime.settings.database_url, "listener")
    listener.listen(timers.CHANNEL, heard.append)
    listener.listen("end", lambda said: ended.set() if said else None)
    await listener.start()

    async def wakes() -> bool:
        """Whether the timers were notified before the last word of the same sender."""
        ended.clear()
        while not ended.is_set():
            runtime.notifier.notify("end", "of story")
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await ended.wait()
        found = bool(heard)
        heard.clear()
        return found

    # A listener is called by itself when it begins to listen.
    while await wakes():
        continue
    later = await made(client, kind, remind_at=TO_COME)
    assert not await wakes()
    place = f"{API}/{entity.collection}/{later['id']}"
    assert (await client.patch(place, {"remind_at": PAST}, headers={"if-match": "*"})).status == 200
    assert await wakes()
    assert (await client.post(f"{place}/cancel")).status == 200
    assert not await wakes()
    assert (await client.post(f"{place}/reopen")).status == 200
    assert await wakes()
    await made(client, kind, remind_at=PAST)
    assert await wakes()
    await listener.stop()
