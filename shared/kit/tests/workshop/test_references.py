"""Many references at once: each readable and active, and none left dangling by who deletes at the same moment."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.orm import registry

from crm_kit.access.privileges import Depth
from crm_kit.errors import UnknownReference
from crm_kit.process.runtime import Runtime
from crm_kit.records.references import added, refer_all
from crm_kit.store import references as declarations
from crm_kit.store.record import Record, new_id
from crm_kit.testing import Client, counted, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

from .conftest import a_tool, stored
from .miniature import Box, Tool, ToolCreated

TOOLS, BOXES = "/api/v1/tools", "/api/v1/boxes"


async def boxes(runtime: Runtime, *names: str) -> list[UUID]:
    made = [Box(id=new_id(), name=name) for name in names]
    await stored(runtime, *made)
    return [box.id for box in made]


async def test_all_are_looked_up_in_one_statement(runtime: Runtime, client: Client) -> None:
    ids = await boxes(runtime, "red", "green", "blue")
    assert (await client.post(TOOLS, {"name": "saw"})).status == 201
    with counted(runtime.db) as statements:
        answer = await client.post(TOOLS, {"name": "saw", "box_ids": [str(one) for one in ids]})
    assert answer.status == 201, answer.body
    assert len([text for text in statements if "FOR SHARE" in text]) == 1
    assert len(statements) == 4, statements


async def test_the_strange_one_is_named_with_its_place(runtime: Runtime, client: Client) -> None:
    [red] = await boxes(runtime, "red")
    answer = await client.post(TOOLS, {"name": "saw", "box_ids": [str(red), str(new_id())]})
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert answer.json["errors"][0]["pointer"] == "/box_ids/1"


async def test_what_the_caller_may_not_read_is_as_good_as_unknown(runtime: Runtime) -> None:
    [red] = await boxes(runtime, "red")
    uow = UnitOfWork(runtime, principal(Depth.NONE, tool="44444"), Cause("a test"))
    try:
        with pytest.raises(UnknownReference) as refused:
            await refer_all(uow, Box, {red: "/box_ids/0"})
    finally:
        await uow.close()
    assert refused.value.errors[0].pointer == "/box_ids/0"


def test_what_is_to_be_checked_is_made_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import asks for each of its rows."""
    monkeypatch.setattr(declarations, "_CHECKED", {})
    looks, look = list[registry](), declarations.records_of

    def counted_look(models: registry) -> list[type[Record]]:
        looks.append(models)
        return look(models)

    monkeypatch.setattr(declarations, "records_of", counted_look)
    for _ in range(3):
        found = declarations.checked_references_of(Tool)
        assert [(one.column, kind) for one, kind in found] == [("box_id", Box), ("box_ids", Box)]
    assert len(looks) == 1


def test_only_what_is_new_is_looked_at() -> None:
    one, two, three = new_id(), new_id(), new_id()
    assert added("box_ids", [two, three], [one, two]) == {three: "/box_ids/1"}
    assert added("box_ids", [one]) == {one: "/box_ids/0"}


async def test_who_deletes_meanwhile_waits_and_then_sees_the_reference(runtime: Runtime, client: Client) -> None:
    [red] = await boxes(runtime, "red")
    uow = UnitOfWork(runtime, principal(tool="44444", box="44444"), Cause("a test"))
    await refer_all(uow, Box, {red: "/box_ids/0"})
    deleting = asyncio.create_task(client.delete(f"{BOXES}/{red}"))
    async with asyncio.timeout(120), runtime.db.autocommit() as conn:
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        while not (await conn.exec_driver_sql(waiting)).scalar_one():
            assert not deleting.done(), deleting.result().body
            await asyncio.sleep(0.01)
    uow.add(a_tool(name="saw", box_ids=[red]), ToolCreated)
    await uow.commit()
    await uow.close()
    answer = await deleting
    assert (answer.status, answer.problem) == (409, "in-use")
