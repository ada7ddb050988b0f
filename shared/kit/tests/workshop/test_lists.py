"""Lists against a naive oracle in Python: access, filters, sorting, paging, for whatever hypothesis comes up with."""

import hashlib
import string
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from crm_contracts.filters import AllOf, AnyOf, Filter, Not, Op, Term, as_json
from crm_contracts.money import Money
from crm_kit.access.by_type import ReachByType
from crm_kit.access.privileges import (
    Depth,
    Principal,
    Privilege,
    UnitTree,
)
from crm_kit.errors import Forbidden, NotFound, UnknownReference
from crm_kit.folding import folded
from crm_kit.process.runtime import Runtime
from crm_kit.records import pages as pages_
from crm_kit.records.cursor import SIGNATURE_BYTES, Cursors
from crm_kit.records.listing import Query, query_records, readable_after
from crm_kit.records.references import refer_all
from crm_kit.store.database import fetch
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import new_id
from crm_kit.testing import Client, People, naively_covers, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

from .conftest import a_tool, stored
from .miniature import SORTABLE, TOOLS, Tool

UNITS = [UUID(int=100 + n) for n in range(6)]
OWNERS = [UUID(int=200 + n) for n in range(5)]
OFTEN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.text(string.ascii_letters + "%_\\äÄßéÉ ", min_size=1, max_size=6).filter(str.strip)
MARKS = ["red", "RED", "re", 'it\'s {red}, "so"']
TOOL = st.fixed_dictionaries(
    {
        "owner_id": st.sampled_from(OWNERS),
        "business_unit_id": st.sampled_from(UNITS),
        "name": NAMES,
        "note": st.none() | NAMES,
        "size": st.none() | st.integers(-3, 3),
        "weight": st.none() | st.decimals(-2, 2, places=1),
        "end": st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 4)),
        "used_at": st.none() | st.integers(0, 3).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
        "sharp": st.booleans(),
        "marks": st.lists(st.sampled_from(MARKS), max_size=3),
        "box_ids": st.lists(st.sampled_from(OWNERS), max_size=3),
    }
)
TREE = st.tuples(*(st.none() | st.integers(0, n - 1) if n else st.none() for n in range(len(UNITS))))
CALLER = st.builds(
    lambda depth, unit, me, teams: principal(tool=depth, unit=UNITS[unit], id=me, teams=tuple(teams)),
    st.sampled_from(Depth),
    st.integers(0, len(UNITS) - 1),
    st.sampled_from(OWNERS[:3]),
    st.sets(st.sampled_from(OWNERS[3:])),
)


def parents_of(above: tuple[int | None, ...]) -> dict[UUID, UUID | None]:
    return {UNITS[n]: None if parent is None else UNITS[parent] for n, parent in enumerate(above)}


def covered(caller: Principal, tool: dict[str, Any], above: tuple[int | None, ...]) -> bool:
    """What the rule of the specification says of a tool."""
    return naively_covers(caller, "tool", tool["owner_id"], tool["business_unit_id"], parents_of(above))


def tree_of(parents: tuple[int | None, ...]) -> UnitTree:
    return UnitTree(parents_of(parents))


async def refill(runtime: Runtime, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("truncate tool, outbox, audit")
    made = [{**tool, "id": new_id(), "owner_type": "user"} for tool in tools]
    await stored(runtime, *(a_tool(**tool) for tool in made))
    return made


async def pages(runtime: Runtime, caller: Principal, query: Query) -> tuple[list[UUID], int]:
    """Every id that paging through gives, in order, and the count that the last page told."""
    import orjson

    ids: list[UUID] = []
    while True:
        uow = UnitOfWork(runtime, caller, Cause("a test"))
        try:
            page = orjson.loads((await query_records(uow, TOOLS, query)).body)
        finally:
            await uow.close()
        ids += [UUID(item["id"]) for item in page["items"]]
        if page["next"] is None:
            return ids, page.get("count", -1)
        query = query.model_copy(update={"after": page["next"]})


async def read_one_by_one(runtime: Runtime, caller: Principal, made: list[dict[str, Any]]) -> set[UUID]:
    """Whatever may be read, may be referred to, alone and in a list; and nothing else."""
    found = set()
    for tool in made:
        uow = UnitOfWork(runtime, caller, Cause("a test"))
        try:
            found.add((await uow.read(Tool, tool["id"])).id)
            await refer_all(uow, Tool, {tool["id"]: "/tool_ids/0"})
            await uow.refer(Tool, tool["id"], "/tool_id")
        except (NotFound, Forbidden):
            with pytest.raises(UnknownReference):
                await refer_all(uow, Tool, {tool["id"]: "/tool_ids/0"})
            with pytest.raises(UnknownReference):
                await uow.refer(Tool, tool["id"], "/tool_id")
        finally:
            await uow.close()
    return found


async def looked_through(runtime: Runtime, caller: Principal, size: int) -> list[UUID]:
    """What somebody who looks through the whole table finds, a stretch at a time."""
    uow = UnitOfWork(runtime, caller, Cause("a test"))
    ids: list[UUID] = []
    position = None
    try:
        while rows := await readable_after(uow, TOOLS, position, size):
            ids += [row["id"] for row in rows]
            position = [rows[-1]["created_at"].isoformat(), str(ids[-1])]
    finally:
        await uow.close()
    return ids


@OFTEN
@given(tools=st.lists(TOOL, max_size=12), caller=CALLER, parents=TREE, limit=st.integers(1, 5), down=st.booleans())
async def test_a_list_shows_exactly_what_the_caller_covers(
    runtime: Runtime, tools: list[dict[str, Any]], caller: Principal, parents: Any, limit: int, down: bool
) -> None:
    made = await refill(runtime, tools)
    tree = runtime.directory.tree = tree_of(parents)
    expected = {tool["id"] for tool in made if covered(caller, tool, parents)}
    reach = caller.reach(Tool, Privilege.READ, tree)
    assert {tool["id"] for tool in made if reach.covers(tool["owner_id"], tool["business_unit_id"])} == expected
    values, by_type = Parameters(), Parameters()
    condition, types = reach.bound(values).covers(), ReachByType(caller, tree, by_type)
    typed = f"{types.everything('t')} or {types.some('t')}"
    of_all = f"select t.id from (select 'tool' as type, tool.* from tool) t where {typed}"  # noqa: S608  # placeholders
    async with runtime.db.autocommit() as conn:
        assert set((await conn.execute(select(Tool.id).where(reach.predicate(Tool)))).scalars()) == expected
        as_text = await fetch(conn, f"select t.id from tool t where {condition}", values.values)  # noqa: S608  # placeholders
        assert {row[0] for row in as_text} == expected
        assert {row[0] for row in await fetch(conn, of_all, by_type.values)} == expected
    assert await read_one_by_one(runtime, caller, made) == expected
    if reach.nothing:
        return
    assert await looked_through(runtime, caller, limit) == sorted(expected)
    found, count = await pages(
        runtime, caller, Query(limit=limit, sort=("-" if down else "") + "created_at", count="exact")
    )
    assert len(found) == len(set(found)) == count
    assert set(found) == expected


def sort_key(name: str) -> Callable[[dict[str, Any]], Any]:
    def key(tool: dict[str, Any]) -> Any:
        value = tool["price"].amount if name == "price.amount" else tool[name]
        if name == "name":
            value = (folded(value.lstrip()), value)
        return (value is not None, value if value is not None else 0, tool["id"].bytes)

    return key


@pytest.mark.parametrize("name", [name for name in SORTABLE if name not in ("created_at", "price.amount")])
@settings(OFTEN, max_examples=25)
@given(
    tools=st.lists(TOOL, max_size=14),
    limit=st.integers(1, 4),
    down=st.booleans(),
    depth=st.sampled_from([Depth.ORGANIZATION, Depth.DEEP]),
)
async def test_pages_joined_are_the_sorted_list_ties_and_nulls_included(
    runtime: Runtime, name: str, tools: list[dict[str, Any]], limit: int, down: bool, depth: Depth
) -> None:
    made = await refill(runtime, tools)
    runtime.directory.tree = tree_of((None, 0, 0, 0, 0, 0))
    # Owner and unit both reach every row, so each row arrives from several sources and must show once.
    caller = principal(tool=depth, unit=UNITS[0], id=OWNERS[0], teams=tuple(OWNERS[1:]))
    found, _ = await pages(runtime, caller, Query(limit=limit, sort=("-" if down else "") + name))
    assert found == [tool["id"] for tool in sorted(made, key=sort_key(name), reverse=down)]


@pytest.mark.parametrize("name", ["name", "size", "used_at", "sharp", "owner_name"])
@settings(OFTEN, max_examples=30)
@given(
    tools=st.lists(TOOL, max_size=14),
    caller=CALLER,
    parents=TREE,
    limit=st.integers(1, 4),
    down=st.booleans(),
    bound=st.sampled_from([1, 2, 5]),
    only=st.none() | st.booleans(),
)
async def test_however_a_page_is_found_it_is_the_same(
    runtime: Runtime,
    name: str,
    tools: list[dict[str, Any]],
    caller: Principal,
    parents: Any,
    limit: int,
    down: bool,
    bound: int,
    only: bool | None,
) -> None:
    """By sorting what is reached, past others, or by sorting after all: which of them is a question of how much there is."""
    made = await refill(runtime, tools)
    runtime.directory.tree = tree_of(parents)
    if caller.depth("tool", Privilege.READ) is Depth.NONE:
        return
    await name_owners(runtime)
    mine = [tool for tool in made if covered(caller, tool, parents) and only in (None, tool["sharp"])]
    wanted = None if only is None else {"field": "sharp", "op": "eq", "value": only}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pages_, "LEAST", bound)
        found, _ = await pages(runtime, caller, Query(limit=limit, sort=("-" if down else "") + name, filter=wanted))
    if name == "owner_name":
        assert found == in_order_of_owners(mine, down=down)
    else:
        assert found == [tool["id"] for tool in sorted(mine, key=sort_key(name), reverse=down)]


OWNER_NAMES = {OWNERS[0]: "Östberg", OWNERS[1]: "osten", OWNERS[2]: "Osten", OWNERS[3]: "Ost"}
"""One owner has no name that is known."""


async def name_owners(runtime: Runtime) -> None:
    rows = [(one, name, UNITS[0]) for one, name in OWNER_NAMES.items()]
    async with runtime.db.begin() as conn:
        for row in rows:
            await conn.exec_driver_sql(
                "insert into principal_ref (id, version, deleted, marker, kind, name, business_unit_id, active)"
                " values ($1, 1, false, 1, 'user', $2, $3, true) on conflict do nothing",
                row,
            )


def in_order_of_owners(tools: list[dict[str, Any]], *, down: bool) -> list[UUID]:
    """By the name of the owner, then by id, because all are made at once; those of nobody that is known last."""

    def key(tool: dict[str, Any]) -> Any:
        name = OWNER_NAMES.get(tool["owner_id"])
        named = () if name is None else (folded(name), name, tool["owner_id"])
        return (*named, tool["id"].bytes)

    known = [tool for tool in tools if tool["owner_id"] in OWNER_NAMES]
    others = [tool for tool in tools if tool["owner_id"] not in OWNER_NAMES]
    return [tool["id"] for part in (known, others) for tool in sorted(part, key=key, reverse=down)]


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "note": NAMES,
    "size": st.integers(-3, 3),
    "weight": st.decimals(-2, 2, places=1),
    "end": st.dates(date(2026, 1, 1), date(2026, 1, 4)),
    "used_at": st.integers(0, 3).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n)),
    "sharp": st.booleans(),
    "owner_id": st.sampled_from(OWNERS),
    "marks": st.sampled_from([*MARKS, "blue"]),
    "box_ids": st.sampled_from(OWNERS),
}


@st.composite
def terms(draw: st.DrawFn) -> Term:
    name = draw(st.sampled_from(sorted(VALUES)))
    op = draw(st.sampled_from(TOOLS.filterable.fields[name].ops))
    one = VALUES[name]
    match op:
        case Op.IS_NULL:
            value: Any = draw(st.booleans())
        case Op.IN | Op.NIN:
            value = draw(st.lists(one, min_size=1, max_size=3))
        case Op.BETWEEN:
            value = sorted(draw(st.tuples(one, one)))
        case _:
            value = draw(one)
    return Term(field=name, op=op, value=value)


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    terms(),
    lambda part: (
        st.lists(part, min_size=1, max_size=3).map(lambda parts: AllOf(all=parts))
        | st.lists(part, min_size=1, max_size=3).map(lambda parts: AnyOf(any=parts))
        | part.map(lambda inner: Not(not_=inner))
    ),
    max_leaves=4,
)


def holds(tree: Filter, tool: dict[str, Any]) -> bool:
    """The grammar, read naively: a comparison with nothing is false, *is not* and *not* are true of it."""
    match tree:
        case AllOf():
            return all(holds(part, tool) for part in tree.all)
        case AnyOf():
            return any(holds(part, tool) for part in tree.any)
        case Not():
            return not holds(tree.not_, tool)
    assert isinstance(tree, Term)
    have, value = tool[tree.field], tree.value
    if tree.field in ("name", "note") and tree.op is not Op.IS_NULL:
        have = have if have is None else folded(have)
        value = [folded(one) for one in value] if isinstance(value, list | tuple) else folded(value)
    match tree.op:
        case Op.IS_NULL:
            return (have is None) is value
        case Op.NE:
            return bool(have != value)
        case Op.NIN:
            return have not in value
        case _ if have is None:
            return False
        case Op.EQ:
            return bool(have == value)
        case Op.GT:
            return bool(have > value)
        case Op.GTE:
            return bool(have >= value)
        case Op.LT:
            return bool(have < value)
        case Op.LTE:
            return bool(have <= value)
        case Op.IN:
            return have in value
        case Op.BETWEEN:
            return bool(value[0] <= have <= value[1])
        case Op.CONTAINS if isinstance(have, list):
            return value in have
        case Op.CONTAINS:
            return value in have
        case Op.STARTS_WITH:
            return bool(have.startswith(value))
    raise AssertionError(tree.op)


@settings(OFTEN, max_examples=100)
@given(tools=st.lists(TOOL, min_size=4, max_size=10), tree=FILTERS)
async def test_a_filter_finds_what_its_grammar_says(
    runtime: Runtime, tools: list[dict[str, Any]], tree: Filter
) -> None:
    made = await refill(runtime, tools)
    found, count = await pages(runtime, principal(tool="44444"), Query(filter=as_json(tree), count="exact"))
    assert set(found) == {tool["id"] for tool in made if holds(tree, tool)}
    assert count == len(found)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("[lte]=9999-12-31", True),
        ("[gt]=9999-12-31", False),
        ("=9999-12-31", False),
        ("[ne]=9999-12-31", True),
        ("[in]=9999-12-31,0001-01-01", False),
        ("[between]=0001-01-01,9999-12-31", True),
        ("[gte]=0001-01-01", True),
        ("[lt]=0001-01-01", False),
    ],
)
async def test_days_at_the_ends_of_the_calendar_are_open_ends(
    runtime: Runtime, client: Client, monkeypatch: pytest.MonkeyPatch, zone: str, term: str, expected: bool
) -> None:
    monkeypatch.setattr(runtime.directory, "organization", replace(runtime.directory.organization, time_zone=zone))
    await stored(runtime, a_tool(name="hammer"))
    answer = await client.get(f"/api/v1/tools?created_at{term}")
    assert (answer.status, bool(answer.json["items"])) == (200, expected)


async def test_money_sorts_and_filters_by_its_amount(runtime: Runtime, client: Client) -> None:
    for amount in ("20", "3", "100"):
        await stored(runtime, a_tool(name=amount, price=Money(Decimal(amount), "EUR")))
    await stored(runtime, a_tool(name="free"))
    answer = await client.get("/api/v1/tools?sort=-price.amount&limit=2")
    following = await client.get(f"/api/v1/tools?sort=-price.amount&limit=2&after={answer.json['next']}")
    assert [item["name"] for item in answer.json["items"] + following.json["items"]] == ["100", "20", "3", "free"]
    answer = await client.get("/api/v1/tools?price.amount[gte]=20&price.currency=EUR&count=exact")
    assert answer.json["count"] == 2


async def test_a_list_of_values_is_filtered_by_one_of_them(runtime: Runtime, client: Client) -> None:
    box, other = new_id(), new_id()
    await stored(runtime, a_tool(name="hammer", box_ids=[other, box]), a_tool(name="saw", box_ids=[other]))
    answer = await client.get(f"/api/v1/tools?box_ids[contains]={box}&count=exact")
    assert ([item["name"] for item in answer.json["items"]], answer.json["count"]) == (["hammer"], 1)
    answer = await client.get(f"/api/v1/tools?box_ids={box}")
    assert (answer.status, answer.problem) == (400, "invalid-filter")
    assert answer.json["errors"][0]["message"] == "box_ids (list of uuid) does not take 'eq'. Choose one of: contains."
    answer = await client.get("/api/v1/tools?box_ids[contains]=saw")
    assert answer.json["errors"][0]["message"] == "Send a UUID for box_ids contains."


async def test_search_takes_every_word_and_no_wildcard(runtime: Runtime, client: Client) -> None:
    await stored(runtime, a_tool(name="Red hammer", note="100% steel"), a_tool(name="red saw"))
    for text, expected in [("RED", 2), ("red hammer", 1), ("%", 1), ("_", 0), ("steel saw", 0)]:
        answer = await client.get("/api/v1/tools?" + urlencode({"q": text}))
        assert len(answer.json["items"]) == expected, text


async def test_only_the_fields_asked_for_come_back(runtime: Runtime, client: Client) -> None:
    await stored(runtime, a_tool())
    answer = await client.get("/api/v1/tools?fields=name,allowed_actions")
    assert [set(item) for item in answer.json["items"]] == [{"id", "name", "allowed_actions"}]


async def test_a_cursor_is_good_for_its_list_and_its_reader_only(
    runtime: Runtime, client: Client, client_for: Callable[[Principal | None], Client], people: People
) -> None:
    await stored(runtime, *(a_tool(size=size) for size in range(4)))
    cursor = (await client.get("/api/v1/tools?limit=1&size[gte]=0")).json["next"]
    url = "/api/v1/tools?limit=1&after="
    assert (await client.get(f"{url}{cursor}&size[gte]=0")).status == 200
    tampered = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    stranger = client_for(principal(tool="44444"))
    for asking, path in [
        (client, f"{url}{tampered}&size[gte]=0"),
        (client, f"{url}{cursor}&size[gte]=1"),
        (client, f"{url}{cursor}&size[gte]=0&sort=size"),
        (client, f"{url}nonsense"),
        (stranger, f"{url}{cursor}&size[gte]=0"),
    ]:
        answer = await asking.get(path)
        assert (answer.status, answer.problem) == (400, "invalid-cursor"), path


def b64decode_url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_cursor_of_the_release_before_still_pages(
    runtime: Runtime, client_for: Callable[[Principal | None], Client]
) -> None:
    await stored(runtime, *(a_tool(size=size) for size in range(3)))
    me = principal(tool="44444")
    client = client_for(me)
    url = "/api/v1/tools?sort=created_at&limit=1"
    first = (await client.get(url)).json
    # The formula of the release before, for a list without filters.
    scope = hashlib.sha256("\0".join(["tool", str(me.id), '"created_at" asc, id asc']).encode()).digest()
    payload = b64decode_url(first["next"])[SIGNATURE_BYTES:]
    cursor = Cursors(runtime.settings.secret.get_secret_value()).write(orjson.loads(payload), scope)
    second = (await client.get(f"{url}&after={cursor}")).json["items"]
    assert len(second) == 1
    assert second[0]["id"] != first["items"][0]["id"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limit=0", "invalid-parameter"),
        ("limit=201", "invalid-parameter"),
        ("limit=x", "invalid-parameter"),
        ("sort=note", "invalid-parameter"),
        ("fields=secret", "invalid-parameter"),
        ("count=all", "invalid-parameter"),
        ("q=%00", "invalid-parameter"),
        ("secret=1", "invalid-filter"),
        ("size[contains]=1", "invalid-filter"),
        ("size=many", "invalid-filter"),
        ("size=1&size=2", "invalid-parameter"),
        ("name=%00", "invalid-filter"),
        ("status=flying", "invalid-filter"),
    ],
)
async def test_what_a_list_does_not_understand_is_400(client: Client, query: str, problem: str) -> None:
    answer = await client.get(f"/api/v1/tools?{query}")
    assert (answer.status, answer.problem) == (400, problem)
    assert answer.json["errors"]


@pytest.mark.parametrize(
    ("query", "problem", "code"),
    [
        ("name[contains]=" + "ab" * 101, "invalid-filter", "too-long"),
        ("&".join(f"{op}={'ab' * 100}" for op in ("name[contains]", "note[starts_with]")), None, None),
        ("q=" + "ab" * 101, "invalid-parameter", "invalid-value"),
        ("sort=" + "a" * 101, "invalid-parameter", "invalid-value"),
        ("after=" + "a" * 4001, "invalid-parameter", "invalid-value"),
        ("fields=" + "a," * 1001, "invalid-parameter", "invalid-value"),
        ("&".join(f"a{n}=1" for n in range(3000)), "invalid-parameter", "too-many-parameters"),
        ("&".join(f"a{n}=1" for n in range(50)) + "&a49=1", "invalid-parameter", "doubled-parameter"),
    ],
    ids=["pattern", "patterns", "q", "sort", "after", "fields", "parameters", "doubled"],
)
async def test_what_a_list_is_asked_for_has_a_size(
    client: Client, query: str, problem: str | None, code: str | None
) -> None:
    answer = await client.get(f"/api/v1/tools?{query}")
    if problem is None:
        assert answer.status == 200
        return
    assert (answer.status, answer.problem, answer.json["errors"][0]["code"]) == (400, problem, code)
    assert len(answer.body) < 2000, "what was sent is not sent back"


async def test_a_list_without_the_privilege_is_403(client_for: Callable[[Principal | None], Client]) -> None:
    answer = await client_for(principal(tool="44044")).get("/api/v1/tools")
    assert answer.status == 200
    answer = await client_for(principal(tool="40444")).get("/api/v1/tools")
    assert (answer.status, answer.problem) == (403, "forbidden")
