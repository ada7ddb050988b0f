"""The scan for likely duplicates: page by page, each pair once, records of others hidden."""

from collections.abc import Callable
from typing import Any

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted, principal
from crm_sales.duplicates import scanning

from .journey import ADA, API, Json, Sales

Pairs = set[tuple[str, str]]


async def scanned(client: Client, collection: str, query: str = "") -> tuple[list[Json], int]:
    """Return all items of a scan, and the number of requests."""
    items: list[Json] = []
    after, requests = "", 0
    while True:
        answer = await client.get(f"{API}/{collection}/duplicates?{query}{after}")
        assert answer.status == 200, answer.body
        requests += 1
        items += answer.json["items"]
        if answer.json["next"] is None:
            return items, requests
        after = f"&after={answer.json['next']}"


def pairs(items: list[Json]) -> list[tuple[str, str]]:
    return [(item["record"]["id"], found.get("id", "hidden")) for item in items for found in item["duplicates"]]


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records per request."""
    monkeypatch.setattr(scanning, "FIRST_STEP", 2)
    monkeypatch.setattr(scanning, "SECONDS", -1.0)


async def contacts(sales: Sales, *many: dict[str, Any]) -> list[Json]:
    return [await sales.make("contacts", **one) for one in many]


async def test_each_pair_comes_once_with_the_older_record(sales: Sales) -> None:
    ada, twin, _, third = await contacts(
        sales,
        {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"},
        {"first_name": "Ada", "last_name": "Lovelance"},
        {"last_name": "Hopper"},
        {"last_name": "Byron", "email": "ADA@example.org"},
    )
    items, _ = await scanned(sales.client, "contacts")
    assert pairs(items) == [(ada["id"], third["id"]), (ada["id"], twin["id"])]
    [item] = items
    assert item["record"] == {
        "type": "contact",
        "id": ada["id"],
        "number": ada["number"],
        "name": "Ada Lovelace",
        "company_name": None,
        "email": "ada@example.org",
        "phone": None,
        "mobile_phone": None,
        "created_at": ada["created_at"],
    }
    assert [found["reasons"] for found in item["duplicates"]] == [["email"], ["name"]]
    assert item["more"] is False


async def test_accounts_and_leads_are_looked_through_alike(sales: Sales) -> None:
    engines = await sales.make("accounts", name="Analytical Engines Ltd")
    engine = await sales.make("accounts", name="Analytical Engine Ltd")
    first = await sales.make("leads", **ADA)
    second = await sales.make("leads", **ADA)
    gone = await sales.make("leads", **ADA)
    await sales.act("leads", gone, "qualify", create_account=False, allow_duplicates=True)
    assert pairs((await scanned(sales.client, "accounts"))[0]) == [(engines["id"], engine["id"])]
    assert pairs((await scanned(sales.client, "leads"))[0]) == [(first["id"], second["id"])]


async def test_without_names_only_addresses_and_phones_count(sales: Sales) -> None:
    first, _, third = await contacts(
        sales,
        {"last_name": "Lovelace", "phone": "+4930123456"},
        {"last_name": "Lovelace"},
        {"last_name": "Lovelace", "mobile_phone": "+4930123456"},
    )
    assert len(pairs((await scanned(sales.client, "contacts"))[0])) == 3
    items, _ = await scanned(sales.client, "contacts", "names=false")
    assert pairs(items) == [(first["id"], third["id"])]
    assert items[0]["duplicates"][0]["reasons"] == ["phone"]
    assert items[0]["duplicates"][0]["similarity"] is None


@pytest.mark.usefixtures("short_steps")
async def test_a_page_may_be_empty_and_have_a_next_one(sales: Sales) -> None:
    *_, ada, twin = await contacts(
        sales,
        {"last_name": "Hopper"},
        {"last_name": "Babbage"},
        {"last_name": "Turing"},
        {"last_name": "Noether"},
        {"last_name": "Lovelace"},
        {"last_name": "Lovelace"},
    )
    first = (await sales.client.get(f"{API}/contacts/duplicates")).json
    assert (first["items"], first["scanned"], first["next"] is not None) == ([], 2, True)
    items, requests = await scanned(sales.client, "contacts")
    assert pairs(items) == [(ada["id"], twin["id"])]
    assert requests == 4


async def test_a_page_ends_where_its_limit_is_reached(sales: Sales) -> None:
    made = await contacts(sales, *({"last_name": name} for name in ("Hopper", "Turing", "Lovelace") for _ in range(2)))
    whole, _ = await scanned(sales.client, "contacts")
    items, requests = await scanned(sales.client, "contacts", "limit=1")
    assert items == whole
    assert pairs(items) == [(made[n]["id"], made[n + 1]["id"]) for n in (0, 2, 4)]
    assert requests == 4
    assert (await sales.client.get(f"{API}/contacts/duplicates?limit=1")).json["scanned"] == 1


async def test_a_common_name_says_that_there_is_more(sales: Sales) -> None:
    made = await contacts(sales, *({"last_name": "Lovelace"} for _ in range(23)))
    item = (await sales.client.get(f"{API}/contacts/duplicates?limit=1")).json["items"][0]
    assert (item["record"]["id"], len(item["duplicates"]), item["more"]) == (made[0]["id"], 20, True)
    items, _ = await scanned(sales.client, "contacts")
    assert [len(one["duplicates"]) for one in items] == [20, 20, 20, *range(19, 0, -1)]
    assert [one["more"] for one in items] == [True, True, *[False] * 20]


async def test_what_one_may_not_read_is_hidden_and_what_one_reads_nothing_of_left_out(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    seller = sales_for(principal(Depth.USER))
    await contacts(sales, {"last_name": "Turing"}, {"last_name": "Turing"}, {"last_name": "Lovelace"})
    [mine, mine_again] = await contacts(seller, {"last_name": "Lovelace"}, {"last_name": "Lovelace"})
    await contacts(sales, {"last_name": "Lovelace"})
    answer = await seller.client.get(f"{API}/contacts/duplicates")
    found = answer.json["items"]
    assert answer.json["scanned"] == 2, "only what one may read is looked through"
    assert sorted(pairs(found)) == sorted(
        [
            (mine["id"], mine_again["id"]),
            (mine["id"], "hidden"),
            (mine["id"], "hidden"),
            (mine_again["id"], "hidden"),
            (mine_again["id"], "hidden"),
        ]
    )
    hidden = [one for item in found for one in item["duplicates"] if "hidden" in one]
    assert all(one == {"hidden": True} for one in hidden)
    assert len(pairs((await scanned(sales.client, "contacts"))[0])) == 1 + 6


async def test_scanning_needs_the_right_to_read(sales_for: Callable[[Principal], Sales]) -> None:
    answer = await sales_for(principal(Depth.USER, contact=Depth.NONE)).client.get(f"{API}/contacts/duplicates")
    assert (answer.status, answer.problem) == (403, "forbidden")


@pytest.mark.usefixtures("short_steps")
async def test_a_cursor_is_good_for_its_own_scan_only(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    await contacts(sales, *({"last_name": name} for name in ("Hopper", "Turing", "Lovelace")))
    following = (await sales.client.get(f"{API}/contacts/duplicates")).json["next"]
    other = sales_for(principal())
    for client, path in (
        (sales.client, f"contacts/duplicates?after={following[:-2]}AA"),
        (sales.client, f"contacts/duplicates?names=false&after={following}"),
        (sales.client, f"accounts/duplicates?after={following}"),
        (sales.client, f"contacts?sort=created_at&after={following}"),
        (other.client, f"contacts/duplicates?after={following}"),
    ):
        answer = await client.get(f"{API}/{path}")
        assert (answer.status, answer.problem) == (400, "invalid-cursor"), path


async def test_a_step_is_two_statements_however_many_duplicates_it_finds(
    sales: Sales, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "FIRST_STEP", 100)
    await contacts(sales, *({"last_name": "Lovelace", "email": f"ada{n}@example.org"} for n in range(9)))
    with counted(runtime.db) as statements:
        items, _ = await scanned(sales.client, "contacts")
    assert len(pairs(items)) == 36
    assert len(statements) == 2, statements


async def test_steps_grow_while_they_are_short_and_shrink_when_they_are_not(
    sales: Sales, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    await contacts(sales, *({"last_name": name} for name in ("Hopper", "Turing", "Noether", "Babbage", "Byron")))
    with counted(runtime.db) as growing:
        await scanned(sales.client, "contacts")
    assert len(growing) == 2 * 3, "one record, two, and the last two"
    monkeypatch.setattr(scanning, "STEP_SECONDS", 0.0)
    with counted(runtime.db) as shrinking:
        await scanned(sales.client, "contacts")
    assert len(shrinking) == 2 * 5 + 1, "one record each, and none"
