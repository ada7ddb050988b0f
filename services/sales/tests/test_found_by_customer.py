"""Records of a customer are found, and filtered, by a name that the caller may read."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.records import name_order, pages
from crm_kit.records.listing import searchable
from crm_kit.store.shares import Shares
from crm_kit.testing import principal
from crm_kit.work.reads import Reads
from crm_sales.app import SERVICE

from .journey import Sales
from .selling import make_customer


@pytest.fixture
async def deals(sales: Sales) -> dict[str, str]:
    """Ids of three deals by name. Two have the customer Müller Söhne."""
    muller = await make_customer(sales, name="Müller Söhne GmbH")
    other = await make_customer(sales, name="東方商事 株式会社")
    bodies = (("Fleet", muller), ("Renewal", muller), ("Fleet", other), ("Muller again", None))
    made = [await sales.make("opportunities", name=name, customer=customer) for name, customer in bodies]
    return {f"{deal['name']} {index}": deal["id"] for index, deal in enumerate(made)}


async def found(sales: Sales, query: str) -> list[str]:
    return [deal["id"] for deal in await sales.page("opportunities", f"{query}&sort=created_at")]


async def test_a_deal_is_found_by_its_customer_and_by_words_of_both(sales: Sales, deals: dict[str, str]) -> None:
    fleet, renewal, other, again = deals.values()
    assert await found(sales, "q=muller") == [fleet, renewal, again]
    assert await found(sales, "q=muller+fleet") == [fleet]
    assert await found(sales, f"q={quote('東方')}") == [other]
    assert await found(sales, "q=muller&limit=1") == [fleet]
    assert await found(sales, f"customer.name[contains]={quote('SOHNE')}") == [fleet, renewal]
    assert await found(sales, f"customer.name={quote('müller söhne gmbh')}") == [fleet, renewal]
    assert await found(sales, f"customer.name[ne]={quote('müller söhne gmbh')}") == [other, again]
    assert await found(sales, "customer.name[is_null]=true") == [again]


async def test_a_renamed_customer_is_found_at_once(sales: Sales, deals: dict[str, str]) -> None:
    [account] = await sales.page("accounts", "q=muller")
    await sales.patch("accounts", account, name="Lovelace Sons")
    fleet, renewal, _, again = deals.values()
    assert await found(sales, "q=lovelace") == [fleet, renewal]
    assert await found(sales, "q=muller") == [again]


async def test_a_hidden_name_finds_nothing(
    sales: Sales, sales_for: Callable[[Principal], Sales], deals: dict[str, str]
) -> None:
    seller = sales_for(principal(account=Depth.USER))
    assert await found(seller, "q=muller") == [deals["Muller again 3"]]
    assert await found(seller, "customer.name[contains]=muller") == []


async def sorted_by(sales: Sales, sort: str) -> list[str]:
    """The names of deals in an order, read one by one."""
    names, after = [], ""
    while True:
        page = (await sales.client.get(f"/api/v1/opportunities?sort={sort}&limit=1{after}")).json
        names += [deal["name"] for deal in page["items"]]
        if page["next"] is None:
            return names
        after = f"&after={page['next']}"


@pytest.mark.parametrize("least", [1, pages.LEAST])
async def test_deals_sort_by_the_name_of_their_customer(
    sales: Sales, sales_for: Callable[[Principal], Sales], monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    """However many there are: a small bound makes the list read the index of the names."""
    monkeypatch.setattr(name_order, "LEAST", least)
    zorn = await sales.make("accounts", name="Zorn AG")
    ada = await sales.make("contacts", first_name="Äda", last_name="Lovelace")
    adam = await sales.make("accounts", name="adam")
    for name, of in (("1", zorn), ("2", ada), ("3", adam), ("4", zorn), ("5", None)):
        customer = of and {"type": "contact" if "last_name" in of else "account", "id": of["id"]}
        await sales.make("opportunities", name=name, customer=customer)
    assert await sorted_by(sales, "customer.name") == ["2", "3", "1", "4", "5"]
    assert await sorted_by(sales, "-customer.name") == ["4", "1", "3", "2", "5"]
    await sales.patch("accounts", zorn, name="ABC")
    assert await sorted_by(sales, "customer.name") == ["1", "4", "2", "3", "5"]
    # To somebody who may read no account, deals of accounts have no name.
    assert await sorted_by(sales_for(principal(account=Depth.USER)), "customer.name") == ["2", "1", "3", "4", "5"]


async def test_a_list_is_filtered_by_its_owner_and_by_days(sales: Sales, deals: dict[str, str]) -> None:
    [deal, *_] = await sales.page("opportunities", "owner_id=me&limit=1")
    assert len(await found(sales, "owner_id=me")) == len(deals)
    day = deal["created_at"][:10]
    assert len(await found(sales, f"created_at={day}")) == len(deals)
    assert len(await found(sales, f"created_at[between]={day},{day}")) == len(deals)
    assert len(await found(sales, f"created_at[lte]={day}")) == len(deals)
    assert await found(sales, f"created_at[gt]={day}") == []


async def test_numbers_addresses_and_phones_are_found_as_people_type_them(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Cards", last_name="Ada", email="Ada@X.example", phone="+49305550001")
    await sales.make("leads", topic="Cards", last_name="Bob", email="bob@x.example", phone="+49305550002")
    short = lead["number"].lower().replace("-0000", "-").replace("-000", "-").replace("-00", "-").replace("-0", "-")
    queries = ("q=030+5550001", "q=%2B49+30+5550001", "q=5550001", "phone=030+5550001", "phone=5550001")
    for query in (
        *queries,
        "email=ada@x.EXAMPLE",
        "email[in]=ADA@x.example,nobody@x.example",
        f"number={short}",
        f"q={short}",
    ):
        assert [one["id"] for one in await sales.page("leads", query)] == [lead["id"]], query


async def test_a_rating_sorts_by_warmth(sales: Sales) -> None:
    for rating in ("warm", "hot", "cold"):
        await sales.make("leads", topic="Cards", last_name=rating, rating=rating)
    first = (await sales.client.get("/api/v1/leads?sort=rating&limit=2")).json
    second = (await sales.client.get(f"/api/v1/leads?sort=rating&limit=2&after={first['next']}")).json
    assert [lead["rating"] for page in (first, second) for lead in page["items"]] == ["cold", "warm", "hot"]


async def test_a_search_ranks_records_of_every_kind_that_the_caller_may_read(
    sales: Sales, sales_for: Callable[[Principal], Sales], deals: dict[str, str]
) -> None:
    async def kinds(who: Sales, q: str) -> list[tuple[str, int]]:
        answer = await who.client.get(f"/api/v1/search?q={quote(q)}")
        assert answer.status == 200, answer.body
        return [(item["type"], item["rank"]) for item in answer.json["items"]]

    found = await kinds(sales, "muller")
    assert found == [("opportunity", 3), ("account", 3), ("opportunity", 1), ("opportunity", 1)]
    assert await kinds(sales, "MULLER sohne GmbH") == [("account", 4), ("opportunity", 1), ("opportunity", 1)]
    assert await kinds(sales_for(principal(account=Depth.NONE)), "muller") == [("opportunity", 3)]
    contact = await sales.make("contacts", last_name="Ng", email="ng@x.example", phone="+49305550001")
    for q in ("ng", contact["number"].lower(), "NG@x.example", "030 5550001"):
        assert (await kinds(sales, q))[0] == ("contact", 4), q
    assert await kinds(sales, "nobody at all") == []


@pytest.mark.usefixtures("deals")
async def test_a_list_that_takes_too_long_is_missing_and_the_others_are_told(
    sales: Sales, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reads, "_left", lambda _: 8.0)
    kinds = [listing.entity.entity() for listing in searchable(SERVICE.entities)]
    slow = kinds.index("quote")
    slept = "select quote.* from (select pg_sleep(30)) slow left join slow_quote quote on true"
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("alter table quote rename to slow_quote")
        await conn.exec_driver_sql(f"create view quote as {slept}")
    try:
        answer = await sales.client.get("/api/v1/search?q=muller")
    finally:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("drop view quote")
            await conn.exec_driver_sql("alter table slow_quote rename to quote")
    assert answer.status == 200
    assert {item["type"] for item in answer.json["items"]} == {"account", "opportunity"} & set(kinds[:slow])
    assert answer.json["items"]
    assert answer.json["missing"] == kinds[slow:]
    answer = await sales.client.get("/api/v1/search?q=muller")
    assert {item["type"] for item in answer.json["items"]} == {"account", "opportunity"}
    assert answer.json["missing"] == []


async def test_a_search_without_letters_and_digits_is_slow_work(
    sales: Sales, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []
    take = Shares.take

    async def noted(shares: Shares, *args: Any) -> None:
        taken.append(shares)
        await take(shares, *args)

    monkeypatch.setattr(Shares, "take", noted)
    for q, is_slow in (("%23%23", True), ("muller", False)):
        taken.clear()
        assert (await sales.client.get(f"/api/v1/search?q={q}")).status == 200
        assert (runtime.db.slow in taken) is is_slow, q
    assert (await sales.client.get("/api/v1/search?q=%00")).problem == "invalid-parameter"
