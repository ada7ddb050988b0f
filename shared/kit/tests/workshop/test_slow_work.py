"""Slow work of one caller, and what it costs the others: nothing but what is theirs to wait for anyway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from sqlalchemy.exc import DBAPIError

from crm_contracts.marketing import CampaignCreated
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.copies import projected
from crm_kit.copies.projected import wait_until_projected
from crm_kit.errors import DomainError
from crm_kit.events import deferred, inbox
from crm_kit.events.consumers import Consumers
from crm_kit.events.ordering import Place
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.database import Database, fetch
from crm_kit.store.outages import ran_out_of_time
from crm_kit.testing import Answer, Client, Issuer, principal
from crm_kit.testing.counting import counted
from crm_kit.testing.databases import ServiceDatabase, settings_for
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork, system_principal

from .conftest import a_tool, stored

TOOLS = "/api/v1/tools"
SOURCE = "/crm/marketing"
BACKGROUND = 1
"""Connections that the runtime itself may hold for a moment, to follow the directory."""


@pytest.fixture(scope="module")
def settings(service: Service, database: ServiceDatabase, issuer: Issuer) -> Settings:
    """With the hop that installations have: what is slow here is meant to take longer."""
    return settings_for(service, database.url, issuer.jwks_url, CRM_HOP_SECONDS=3)


def checked_out(runtime: Runtime) -> int:
    return runtime.db.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]  # the pool has it, its base not


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not met():  # noqa: ASYNC110  # what it looks at tells nobody of its changes
            await asyncio.sleep(0.005)


@asynccontextmanager
async def working(runtime: Runtime, caller: Principal) -> AsyncIterator[UnitOfWork]:
    uow = UnitOfWork(runtime, caller, Cause("slow work"))
    try:
        yield uow
    finally:
        await uow.close()


# -- connections -------------------------------------------------------------------------------------------------------


async def test_one_caller_has_half_of_the_connections_and_the_others_answer_meanwhile(
    runtime: Runtime, client: Client, caller: Principal, client_for: Callable[[Principal | None], Client]
) -> None:
    half = runtime.settings.connections // 2
    release = asyncio.Event()

    async def slow() -> None:
        async with working(runtime, caller) as uow:
            await uow.connection()
            await release.wait()

    tasks = [asyncio.create_task(slow()) for _ in range(20)]
    await until(lambda: runtime.db.shares.waiting(caller.id) == 20 - half)
    assert runtime.db.shares.held(caller.id) == half
    assert checked_out(runtime) <= half + BACKGROUND
    others = [client_for(principal(tool="44444")) for _ in range(3)]
    answers = await asyncio.gather(*(other.get(TOOLS) for other in others for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    mine = await client.get(TOOLS)
    assert (mine.status, mine.problem, mine.headers["retry-after"]) == (429, "too-many-requests", "1")
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: (checked_out(runtime), runtime.db.shares.held(caller.id)) == (0, 0))
    assert (await client.get(TOOLS)).status == 200


async def test_the_service_itself_has_no_share(runtime: Runtime) -> None:
    held = [UnitOfWork(runtime, system_principal("workshop"), Cause("a timer")) for _ in range(5)]
    for uow in held:
        await uow.connection()
    assert checked_out(runtime) >= 5
    for uow in held:
        await uow.close()


async def test_a_share_comes_back_from_a_transaction_and_from_one_that_failed(
    runtime: Runtime, caller: Principal
) -> None:
    for _ in range(2 * runtime.settings.connections):
        async with working(runtime, caller) as uow:
            await uow.connection()
            await uow.transaction()
            assert runtime.db.shares.held(caller.id) == 1
            with pytest.raises(DBAPIError):
                await fetch(await uow.connection(), "select 1 / 0")
        await until(lambda: (checked_out(runtime), runtime.db.shares.held(caller.id)) == (0, 0))


async def test_a_share_costs_a_request_no_statement(runtime: Runtime, client: Client) -> None:
    await client.get(TOOLS)
    with counted(runtime.db) as statements:
        assert (await client.get(TOOLS)).status == 200
    assert len(statements) == 1


# -- statements --------------------------------------------------------------------------------------------------------

SLEEPING = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"


@pytest.mark.parametrize("way", ["driver", "sqlalchemy", "transaction"])
def test_a_request_that_is_given_up_ends_its_statement_too(database: ServiceDatabase, way: str) -> None:
    """On the loop that services run on: the statement would otherwise work on for nobody."""

    async def ask(db: Database) -> None:
        async with db.begin() if way == "transaction" else db.autocommit() as conn:
            await conn.exec_driver_sql("select 1")
            if way == "sqlalchemy":
                await conn.exec_driver_sql("select pg_sleep(50)")
            else:
                await fetch(conn, "select pg_sleep(50)")

    async def give_up() -> tuple[int, int]:
        db = Database(database.url, pool_size=1, application_name="given up", statement_seconds=60)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(db), 0.2)
            out = db.engine.pool.checkedout()  # type: ignore[attr-defined]  # the pool has it, its base not
            async with asyncio.timeout(120), db.autocommit() as conn:
                while running := (await conn.exec_driver_sql(SLEEPING)).scalar_one():  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.01)
            return out, running
        finally:
            await db.dispose()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(lambda: uvloop.run(give_up())).result() == (0, 0)


async def test_the_database_ends_a_statement_before_the_hop_does_and_the_connection_stays_good(
    runtime: Runtime,
) -> None:
    async with runtime.db.autocommit() as conn:
        told = (await conn.exec_driver_sql("show statement_timeout")).scalar_one()
        assert (told, runtime.settings.hop_seconds) == ("2400ms", 3.0)
        backend = "select pg_backend_pid()"
        before = (await conn.exec_driver_sql(backend)).scalar_one()
        with pytest.raises(DBAPIError) as error:
            await fetch(conn, "select pg_sleep(10)")
        assert ran_out_of_time(error.value)
        assert (await conn.exec_driver_sql(backend)).scalar_one() == before


@pytest.fixture
async def slow_table(runtime: Runtime) -> AsyncIterator[None]:
    """Tools of which each takes a tenth of a second to read, and all of them more than a statement may."""
    await stored(runtime, *(a_tool(name=f"a hammer {n}") for n in range(30)))
    async with runtime.db.begin() as conn:
        for step in (
            "create function slowly() returns boolean language sql volatile as 'select true from pg_sleep(0.1)'",
            "alter table tool rename to slow_tool",
            "create view tool as select * from slow_tool where slowly()",
        ):
            await conn.exec_driver_sql(step)
    yield
    async with runtime.db.begin() as conn:
        for step in ("drop view tool", "alter table slow_tool rename to tool", "drop function slowly"):
            await conn.exec_driver_sql(step)


@pytest.mark.usefixtures("slow_table")
async def test_a_search_that_takes_too_long_is_told_to_be_narrowed(
    runtime: Runtime, client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    async def ask(*searches: str) -> list[Answer]:
        callers = [client_for(principal(tool="44444")) for _ in searches]
        paths = zip(callers, searches, strict=True)
        return await asyncio.gather(*(caller.get(f"{TOOLS}?{search}") for caller, search in paths))

    # As many at a time as may be slow; of the others nobody knew before.
    known = await ask("count=exact", "name[contains]=hammer", "q=ha")
    unforeseen = await ask("sharp=false", "", "sort=size")
    for answer in (*known, *unforeseen):
        assert (answer.status, answer.problem) == (422, "too-expensive")
        assert "count=exact" in answer.json["detail"]
    await until(lambda: checked_out(runtime) <= BACKGROUND)


@pytest.mark.usefixtures("slow_table")
async def test_what_turns_out_to_be_slow_leaves_half_of_the_connections(
    runtime: Runtime, client_for: Callable[[Principal | None], Client]
) -> None:
    """Two callers, each with all the connections of their share, and filters that no index serves."""
    half, slow_work = runtime.settings.connections // 2, runtime.db.slow
    two = [principal(tool="44444"), principal(tool="44444")]
    slow = [asyncio.create_task(client_for(one).get(f"{TOOLS}?sharp=false")) for one in two for _ in range(half)]
    await until(lambda: slow_work.taken == 2 and sum(slow_work.waiting(one.id) for one in two) > 0)
    async with AsyncExitStack() as held:
        for _ in range(half):
            uow = await held.enter_async_context(working(runtime, principal(tool="44444")))
            assert await fetch(await uow.connection(), "select 1")
    told = [(answer.status, answer.problem) for answer in await asyncio.gather(*slow)]
    assert sorted(set(told)) == [(422, "too-expensive"), (429, "too-many-requests")]
    assert not runtime.db.slow._held


@pytest.mark.usefixtures("slow_table")
async def test_where_nobody_needs_the_connections_slow_reads_go_on(runtime: Runtime, caller: Principal) -> None:
    sleeping = "select pg_sleep(0.6)"

    async def read() -> bool:
        async with working(runtime, caller) as uow:

            async def work() -> bool:
                await fetch(await uow.connection(), sleeping)
                return True

            return await uow.reads.quickly(work, "Sleep less.")

    with counted(runtime.db) as statements:
        assert await asyncio.gather(*(read() for _ in range(3))) == [True] * 3
    assert statements.count(sleeping) == 3, "none was begun again"
    assert not runtime.db.slow._held


@pytest.mark.usefixtures("slow_table")
async def test_a_caller_does_one_slow_thing_at_a_time_and_quick_ones_beside_it(
    runtime: Runtime, client: Client, caller: Principal
) -> None:
    slow = [asyncio.create_task(client.get(f"{TOOLS}?count=exact&sharp=false")) for _ in range(4)]
    await until(lambda: runtime.db.slow.waiting(caller.id) == 3)
    assert runtime.db.shares.held(caller.id) == 1
    assert (await client.get(f"{TOOLS}/{uuid4()}")).status in (404, 504)
    answers = await asyncio.gather(*slow)
    assert sorted({answer.problem for answer in answers}) == ["too-expensive", "too-many-requests"]
    assert runtime.db.slow.held(caller.id) == 0


# -- Crm-After ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def consumers() -> Consumers:
    """A service that follows campaigns of another."""
    consumers = Consumers("workshop")

    @consumers.projection(CampaignCreated, group="tools")
    async def follow(events: Sequence[CampaignCreated], uow: UnitOfWork) -> None: ...

    return consumers


async def wait(runtime: Runtime, consumers: Consumers, caller: Principal, header: str) -> Any:
    async with working(runtime, caller) as uow:
        try:
            return await wait_until_projected(consumers, uow, header)
        except DomainError as error:
            return error.members.get("code", error.slug)


async def arrive(runtime: Runtime, entity: Any, version: int = 1, state: str | None = None) -> None:
    async with runtime.db.begin() as conn:
        line = inbox.Line("tools", SOURCE, entity)
        if state is not None:
            failure = deferred.Failure(
                inbox.EventKey("tools", SOURCE, uuid4()), entity, version, "x", b"", state, 7, None, "no"
            )
            await deferred.store(conn, [failure])
            return
        await inbox.lock_positions(conn, [line])
        await inbox.advance(conn, [(line, Place(0, version), False)])


async def test_who_waits_for_what_never_comes_holds_no_connection(
    runtime: Runtime, consumers: Consumers, caller: Principal, client: Client
) -> None:
    waiting = [
        asyncio.create_task(wait(runtime, consumers, caller, f"campaign/{uuid4()}@1"))
        for _ in range(runtime.settings.connections * 5)
    ]
    arrivals = await _arrivals(runtime, len(waiting))
    with counted(runtime.db) as statements:
        seen = []
        for _ in range(20):
            seen.append((checked_out(runtime), runtime.db.shares.held(caller.id)))
            assert (await client.get(TOOLS)).status == 200, "also those of who waits"
    assert max(held for held, _ in seen) <= 1 + BACKGROUND, "that of the one look"
    assert {shares for _, shares in seen} == {0}
    looks = sum("inbox_position" in statement for statement in statements)
    assert looks <= len(seen) + 20, "one look for all who wait"
    assert set(await asyncio.gather(*waiting)) == {"late"}
    assert not arrivals._waiting
    await until(lambda: arrivals._task is not None and arrivals._task.done())


async def _arrivals(runtime: Runtime, number: int) -> projected.Arrivals:
    await until(lambda: "arrivals" in runtime.extras)
    arrivals: projected.Arrivals = runtime.extras["arrivals"]
    await until(lambda: len(arrivals._waiting) == number)
    return arrivals


async def test_each_goes_on_when_what_it_waits_for_has_come(
    runtime: Runtime, consumers: Consumers, caller: Principal
) -> None:
    first, second, parked, never = (uuid4() for _ in range(4))
    headers = [
        f"campaign/{first}@2",
        f"campaign/{first}@1, campaign/{second}@1",
        f"campaign/{parked}@1",
        f"campaign/{never}@1",
    ]
    tasks = [asyncio.create_task(wait(runtime, consumers, caller, header)) for header in headers]
    await _arrivals(runtime, 4)
    await arrive(runtime, first, 2)
    assert await tasks[0] is None
    assert not tasks[1].done()
    await arrive(runtime, second)
    assert await tasks[1] is None
    await arrive(runtime, parked, state="parked")
    assert await tasks[2] == "parked"
    assert not tasks[3].done()
    assert await tasks[3] == "late"
    await arrive(runtime, never)
    with counted(runtime.db) as statements:
        assert await wait(runtime, consumers, caller, headers[3]) is None
    assert len(statements) == 1, "what is here already costs one look"


async def test_only_so_many_of_one_caller_wait(
    runtime: Runtime, consumers: Consumers, caller: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projected, "WAITING_EACH", 5)
    monkeypatch.setattr(projected, "WAITING_ALL", 8)
    mine = [asyncio.create_task(wait(runtime, consumers, caller, f"campaign/{uuid4()}@1")) for _ in range(7)]
    await _arrivals(runtime, 5)
    await until(lambda: sum(task.done() for task in mine) == 2)
    theirs = [asyncio.create_task(wait(runtime, consumers, principal(), f"campaign/{uuid4()}@1")) for _ in range(5)]
    await _arrivals(runtime, 8)
    await until(lambda: sum(task.done() for task in theirs) == 2)
    assert [sorted({*await asyncio.gather(*tasks)}) for tasks in (mine, theirs)] == [
        ["late", "too-many-requests"],
        ["late", "unavailable"],
    ]


async def test_a_caller_who_gives_up_is_waited_for_no_more(
    runtime: Runtime, consumers: Consumers, caller: Principal
) -> None:
    task = asyncio.create_task(wait(runtime, consumers, caller, f"campaign/{uuid4()}@1"))
    arrivals = await _arrivals(runtime, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (arrivals._waiting, arrivals._count) == ([], {})
    await until(lambda: arrivals._task is not None and arrivals._task.done())
