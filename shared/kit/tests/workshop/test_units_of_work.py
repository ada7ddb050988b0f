"""What a unit of work promises: everything it changes is versioned, audited and announced once, or not at all."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from crm_kit.access.privileges import Depth, Principal, Privilege
from crm_kit.errors import DomainError, Forbidden, NotFound, Stale, UnknownReference
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People, announced, counted, emitted, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.condition import Condition
from crm_kit.work.uow import UnitOfWork

from .conftest import a_tool, stored
from .miniature import (
    Box,
    BoxCreated,
    Tool,
    ToolCreate,
    ToolCreated,
    ToolDeleted,
    ToolLent,
    ToolUpdated,
    create_tool,
    lend_tool,
)


@pytest.fixture
async def tool(uow: UnitOfWork) -> Tool:
    tool = uow.add(a_tool(), ToolCreated)
    await uow.flush()
    return tool


async def audit(uow: UnitOfWork) -> list[tuple[Any, ...]]:
    rows = await uow.execute(text("select version, fact, changes, record is not null from audit order by version"))
    return [tuple(row) for row in rows]


async def test_a_new_record_is_stamped_owned_and_announced(uow: UnitOfWork, caller: Principal) -> None:
    tool = await create_tool(uow, ToolCreate(name="a saw", sharp=True))
    assert emitted(uow) == ["crm.workshop.tool.created.v1"]
    await uow.flush()
    [event] = await announced(uow)
    assert (tool.version, tool.owner_id, tool.business_unit_id, tool.state) == (1, caller.id, caller.unit, "here/new")
    assert (event["subject"], event["entityversion"]) == (str(tool.id), 1)
    assert (event["ownerid"], event["businessunit"]) == (str(caller.id), str(caller.unit))
    assert event["actor"] == f"user:{caller.id}"
    assert event["data"]["changed"] == {}
    row = (await uow.execute(text("select name, sharp, version from tool where id = :id"), {"id": tool.id})).one()
    assert tuple(row) == ("a saw", True, 1)
    assert await audit(uow) == [(1, "created", None, True)]


async def test_a_change_bumps_the_version_once_and_tells_old_and_new(uow: UnitOfWork, tool: Tool) -> None:
    tool.name, tool.size = "a big hammer", 12
    uow.emit(tool, ToolUpdated)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert (tool.version, event["entityversion"], event["data"]["record"]["version"]) == (2, 2, 2)
    assert event["data"]["changed"] == {
        "name": {"old": "a hammer", "new": "a big hammer"},
        "size": {"old": None, "new": 12},
    }
    assert (await audit(uow))[-1] == (2, "updated", event["data"]["changed"], False)


async def test_a_long_text_or_a_list_only_says_that_it_changed_but_history_keeps_it(
    uow: UnitOfWork, tool: Tool
) -> None:
    tool.note, tool.tags = "x" * 1025, ["heavy"]
    uow.emit(tool, ToolUpdated)
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["changed"] == {"note": {"changed": True}, "tags": {"changed": True}}
    _, _, changes, _ = (await audit(uow))[-1]
    assert changes["note"] == {"old": None, "new": "x" * 1025}
    assert changes["tags"] == {"old": [], "new": ["heavy"]}


async def test_a_second_event_for_one_record_is_refused(uow: UnitOfWork, tool: Tool) -> None:
    uow.emit(tool, ToolUpdated)
    with pytest.raises(RuntimeError, match="a second event"):
        uow.emit(tool, ToolUpdated)


async def test_a_change_without_an_event_is_refused(uow: UnitOfWork, tool: Tool) -> None:
    tool.name = "silently another"
    with pytest.raises(RuntimeError, match=r"without an event: .'name'."):
        await uow.flush()


@pytest.mark.parametrize("rendered", [False, True])
async def test_a_change_after_the_event_is_refused(uow: UnitOfWork, tool: Tool, rendered: bool) -> None:
    tool.name = "told"
    uow.emit(tool, ToolUpdated)
    if rendered:
        await uow.render(tool)
    tool.name = "untold"
    with pytest.raises(RuntimeError, match=r"after its event: .'name'."):
        await uow.flush()


async def test_a_change_of_a_new_record_after_its_event_is_refused(uow: UnitOfWork) -> None:
    fresh = uow.add(a_tool(), ToolCreated)
    fresh.name = "untold"
    with pytest.raises(RuntimeError, match=r"after its event: .'name'."):
        await uow.flush()


async def test_the_unit_of_work_knows_what_is_stored(uow: UnitOfWork, tool: Tool) -> None:
    fresh = uow.add(a_tool(number="T-2"), ToolCreated)
    assert uow.before(fresh) is None
    stored_name, tool.name = tool.name, "another"
    before = uow.before(tool)
    assert before is not None
    assert before["name"] == stored_name


async def test_nothing_changed_is_nothing_written(uow: UnitOfWork, tool: Tool) -> None:
    tool.name = "a hammer"
    assert not uow.changed(tool)
    await uow.flush()
    assert len(await announced(uow)) == 1


async def test_a_delete_carries_the_last_record_at_the_next_version(uow: UnitOfWork, tool: Tool) -> None:
    uow.remove(tool, ToolDeleted)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert event["type"] == "crm.workshop.tool.deleted.v1"
    assert (event["entityversion"], event["data"]["record"]["version"], event["data"]["changed"]) == (2, 2, {})
    assert (await audit(uow))[-1][:2] == (2, "deleted")
    with pytest.raises(NotFound):
        await uow.load(Tool, tool.id)


async def test_facts_of_an_event_are_checked_against_its_contract(uow: UnitOfWork, tool: Tool) -> None:
    await lend_tool(uow, tool.id, date(2026, 12, 24))
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["until"] == "2026-12-24"
    uow.emit(tool, ToolLent, until="whenever")
    with pytest.raises(ValueError, match="until"):
        await uow.flush()


async def test_an_event_past_its_size_names_the_largest_field(uow: UnitOfWork, tool: Tool) -> None:
    tool.note = "x" * (1024 * 1024)
    uow.emit(tool, ToolUpdated)
    with pytest.raises(DomainError, match="too-large") as refused:
        await uow.flush()
    assert [error.pointer for error in refused.value.errors] == ["/note"]


async def test_a_row_changed_behind_the_lock_fails_the_flush(uow: UnitOfWork, tool: Tool) -> None:
    await uow.execute(text("update tool set version = 7 where id = :id"), {"id": tool.id})
    uow.emit(tool, ToolUpdated)
    with pytest.raises(RuntimeError, match="under their lock"):
        await uow.flush()


@pytest.mark.parametrize(
    ("reads", "writes", "error"),
    [
        (Depth.NONE, Depth.NONE, Forbidden),
        (Depth.USER, Depth.USER, NotFound),
        (Depth.ORGANIZATION, Depth.USER, Forbidden),
    ],
)
async def test_get_tells_apart_what_you_may_not_see_and_what_you_may_not_do(
    runtime: Runtime, uow: UnitOfWork, tool: Tool, reads: Depth, writes: Depth, error: type[Exception]
) -> None:
    other = principal(tool=f"0{int(reads)}{int(writes)}00")
    stranger = UnitOfWork(runtime, other, Cause("a test"), conn=await uow.connection())
    with pytest.raises(error):
        await stranger.get(Tool, tool.id, Privilege.WRITE)


async def test_a_stale_condition_is_412_with_the_current_version(runtime: Runtime, uow: UnitOfWork, tool: Tool) -> None:
    conn = await uow.connection()
    late = UnitOfWork(runtime, uow.principal, Cause("a test"), conn=conn, condition=Condition(tool.id, frozenset({7})))
    with pytest.raises(Stale) as refused:
        await late.get(Tool, tool.id, Privilege.WRITE)
    assert refused.value.members == {"version": 1}


async def test_a_condition_is_about_its_record_whatever_is_locked_before(
    runtime: Runtime, uow: UnitOfWork, tool: Tool
) -> None:
    other = uow.add(a_tool(number="T-2"), ToolCreated)
    await uow.flush()
    condition = Condition(tool.id, frozenset({7}))
    late = UnitOfWork(runtime, uow.principal, Cause("a test"), conn=await uow.connection(), condition=condition)
    await late.get(Tool, other.id, Privilege.WRITE)
    assert not condition.compared
    with pytest.raises(Stale):
        await late.get(Tool, tool.id, Privilege.WRITE)


async def test_a_reference_to_nothing_points_at_its_field(uow: UnitOfWork) -> None:
    with pytest.raises(UnknownReference) as refused:
        await create_tool(uow, ToolCreate(name="a saw", box_id=uuid4()))
    assert refused.value.errors[0].pointer == "/box_id"


async def test_names_of_references_and_owners_travel_with_the_record(
    uow: UnitOfWork, people: People, caller: Principal
) -> None:
    await people.user("Grace Hopper", id=caller.id)
    box = uow.add(Box(name="the red box"), BoxCreated)
    await uow.flush()
    uow.add(a_tool(holder_type="box", holder_id=box.id), ToolCreated)
    await uow.flush()
    record = (await announced(uow))[-1]["data"]["record"]
    assert record["holder"] == {"type": "box", "id": str(box.id), "name": "the red box", "deleted": False}
    assert record["owner_name"] == "Grace Hopper"


async def test_what_is_not_committed_never_happened(runtime: Runtime, caller: Principal) -> None:
    uow = UnitOfWork(runtime, caller, Cause("a test"))
    tool = a_tool()
    await stored(runtime, tool)
    lent = await lend_tool(uow, tool.id, date(2026, 12, 24))
    await uow.flush()
    await uow.close()
    async with runtime.db.autocommit() as conn:
        assert [event["entityversion"] for event in await announced(conn)] == [1]
        assert (await conn.exec_driver_sql("select version from tool")).scalars().all() == [1]
    assert lent.version == 2


async def test_creating_costs_one_statement_and_a_command_four(runtime: Runtime, caller: Principal) -> None:
    tool = a_tool()
    await stored(runtime, tool)
    async with runtime.db.autocommit() as conn:
        await runtime.numbers.next("TOO", conn)
        await runtime.directory.learn(conn, [caller.id])
    with counted(runtime.db) as statements:
        uow = UnitOfWork(runtime, caller, Cause("a test"))
        await create_tool(uow, ToolCreate(name="a saw"))
        await uow.commit()
        await uow.close()
    assert len(statements) == 1, [text[:80] for text in statements]
    with counted(runtime.db) as statements:
        uow = UnitOfWork(runtime, caller, Cause("a test"))
        await lend_tool(uow, tool.id, date(2026, 12, 24))
        await uow.commit()
        await uow.close()
    assert len(statements) == 4, [text[:80] for text in statements]


async def test_sequence_order_is_version_order_per_record_under_sixteen_writers(
    runtime: Runtime, caller: Principal
) -> None:
    tools = [a_tool() for _ in range(5)]
    await stored(runtime, *tools)

    async def write(writer: int) -> None:
        for turn in range(12):
            uow = UnitOfWork(runtime, caller, Cause(f"writer {writer}"))
            try:
                # Two records at once, in one order for all, so that statements touch several rows and never deadlock.
                for index in sorted({(writer + turn) % 5, (writer * 3 + turn) % 5}):
                    tool = await uow.get(Tool, tools[index].id, Privilege.WRITE)
                    tool.size = writer * 1000 + turn
                    uow.emit(tool, ToolUpdated)
                await uow.commit()
            finally:
                await uow.close()

    await asyncio.gather(*(write(writer) for writer in range(16)))
    async with runtime.db.autocommit() as conn:
        rows: list[Any] = list(await conn.exec_driver_sql("select entity_id, entity_version from outbox order by seq"))
    versions: dict[UUID, list[int]] = {}
    for row in rows:
        versions.setdefault(row[0], []).append(row[1])
    assert len(rows) > 16 * 12
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
