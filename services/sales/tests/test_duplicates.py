"""Likely duplicates of new records: on create, on PATCH, and in checks without a write."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, People, counted, principal

from .journey import ADA, API, Json, Sales

Reported = dict[str, list[str]]


async def reported(sales: Sales, collection: str, **fields: Any) -> Reported:
    """Return the ids and reasons of the likely duplicates that refuse a create with duplicates=report."""
    answer = await sales.client.post(f"{API}/{collection}?duplicates=report", fields)
    assert (answer.status, answer.problem) == (409, "possible-duplicates"), answer.body
    return {found["id"]: found["reasons"] for found in answer.json["duplicates"]}


async def checked(sales: Sales, collection: str, **fields: Any) -> Reported:
    """Return the same from a check without a write."""
    return {
        found["id"]: found["reasons"] for found in (await ask(sales.client, collection, **fields)).json["duplicates"]
    }


async def ask(client: Client, collection: str, **fields: Any) -> Answer:
    answer = await client.post(f"{API}/{collection}/duplicates", fields)
    assert answer.status == 200, answer.body
    return answer


async def test_another_legal_form_weighs_little(sales: Sales) -> None:
    names = ("Acme GmbH", "ACME gmbh", "Acme Inc", "Acme", "株式会社東方", "東方有限会社")
    for name in names:
        await sales.make("accounts", name=name)

    async def ranked(name: str) -> list[tuple[str, float]]:
        answer = await ask(sales.client, "accounts", name=name)
        return [(found["name"], found["similarity"]) for found in answer.json["duplicates"]]

    found = await ranked("acme GmbH")
    assert {name for name, _ in found[:2]} == {"Acme GmbH", "ACME gmbh"}
    assert [similarity for _, similarity in found] == [1.0, 1.0, 0.95, 0.95]
    assert dict(await ranked("株式会社東方")) == {"株式会社東方": 1.0, "東方有限会社": 0.95}


async def test_a_new_lead_is_compared_with_leads_and_contacts(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Card", last_name="Byron", email="Ada@Example.org")
    contact = await sales.make("contacts", first_name="Ada", last_name="Lovelance")
    await sales.make("accounts", name="Ada Lovelace")
    found = await reported(sales, "leads", **ADA)
    assert found == {lead["id"]: ["email"], contact["id"]: ["name"]}
    assert (await sales.facts())[3:] == [], "nothing was made"


async def test_a_new_lead_without_a_person_is_compared_with_leads_and_accounts(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Fleet", company_name="Analytical Engine Ltd.")
    account = await sales.make("accounts", name="ANALYTICAL ENGINES LTD")
    await sales.make("leads", topic="Card", last_name="Babbage", company_name="Analytical Engines Ltd")
    found = await reported(sales, "leads", topic="Cars", company_name="Analytical Engines Ltd")
    assert found == {lead["id"]: ["name"], account["id"]: ["name"]}, "people who work there are not the company"


async def test_a_new_contact_is_compared_with_contacts_and_people_among_leads(sales: Sales) -> None:
    contact = await sales.make("contacts", last_name="Byron", mobile_phone="+4930123456")
    lead = await sales.make("leads", **ADA)
    await sales.make("leads", topic="Cars", company_name="Ada Lovelace", email="ada@example.org")
    found = await reported(
        sales, "contacts", first_name="Ada", last_name="Lovelace", email="ADA@example.org", phone="+49 30 123456"
    )
    assert found == {contact["id"]: ["phone"], lead["id"]: ["email", "name"]}


async def test_a_new_account_is_compared_with_accounts_and_companies_among_leads(sales: Sales) -> None:
    account = await sales.make("accounts", name="Difference & Co", phone="+4930123456")
    lead = await sales.make("leads", topic="Cars", company_name="Analytical Engines")
    await sales.make("leads", **ADA, phone="+4930123456")
    found = await reported(sales, "accounts", name="Analytical Engines Ltd", phone="+4930123456")
    assert found == {account["id"]: ["phone"], lead["id"]: ["name"]}


async def test_what_a_qualified_lead_became_is_told_instead_of_it(sales: Sales) -> None:
    lead = await sales.act("leads", await sales.make("leads", **ADA), "qualify")
    assert set(await reported(sales, "leads", **ADA)) == {lead["contact_id"]}


async def test_national_numbers_are_compared_as_the_organisation_means_them(sales: Sales, people: People) -> None:
    await people.organization(country="DE")
    known = await sales.make("contacts", last_name="Byron", phone="030 123456")
    found = await checked(sales, "leads", last_name="Lovelace", mobile_phone="+49 (30) 123-456")
    assert found == {known["id"]: ["phone"]}


@pytest.mark.parametrize("duplicates", ["", "?duplicates=allow"])
async def test_nobody_looks_unless_asked(sales: Sales, runtime: Runtime, duplicates: str) -> None:
    await sales.make("leads", **ADA)
    with counted(runtime.db) as statements:
        answer = await sales.client.post(f"{API}/leads{duplicates}", ADA)
    assert answer.status == 201
    assert not any("similarity" in statement for statement in statements), statements


async def test_looking_is_one_statement_more(sales: Sales, runtime: Runtime) -> None:
    body = {**ADA, "email": None, "last_name": "Babbage"}
    await sales.make("leads", **ADA)
    with counted(runtime.db) as plain:
        await sales.make("leads", topic="Card", last_name="Hopper")
    with counted(runtime.db) as looking:
        answer = await sales.client.post(f"{API}/leads?duplicates=report", body)
    assert answer.status == 201, "similar to nobody"
    assert 0 < len(looking) <= len(plain) + 1


@pytest.mark.parametrize("collection", ["leads", "accounts", "contacts"])
async def test_a_single_record_cannot_be_skipped(sales: Sales, collection: str) -> None:
    body = {"leads": ADA, "accounts": {"name": "Engines"}, "contacts": {"last_name": "Byron"}}[collection]
    answer = await sales.client.post(f"{API}/{collection}?duplicates=skip", body)
    assert (answer.status, answer.problem) == (400, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == "duplicates"


async def test_the_problem_names_companies_and_numbers_people(sales: Sales) -> None:
    account = await sales.make("accounts", name="Analytical Engine Ltd")
    answer = await sales.client.post(
        f"{API}/leads?duplicates=report", {"topic": "Cars", "company_name": account["name"]}
    )
    assert answer.json["duplicates"] == [
        {"type": "account", "id": account["id"], "name": account["name"], "reasons": ["name"], "similarity": 1.0}
    ]
    contact = await sales.make("contacts", first_name="Ada", last_name="Lovelace", email="ada@example.org")
    answer = await sales.client.post(
        f"{API}/contacts?duplicates=report", {"last_name": "B", "email": "ADA@EXAMPLE.ORG"}
    )
    assert answer.json["duplicates"] == [
        {"type": "contact", "id": contact["id"], "name": contact["number"], "reasons": ["email"]}
    ]


async def test_a_form_is_told_who_it_may_be_with_what_tells_them_apart(sales: Sales) -> None:
    contact = await sales.make("contacts", first_name="Ada", last_name="Lovelace", email="ada@example.org")
    await sales.make("contacts", first_name="Ida", last_name="Lovelace")
    answer = await ask(sales.client, "leads", first_name="Ada", last_name="Lovelace", email="ada@example.org")
    first, second = answer.json["duplicates"]
    assert first == {
        "type": "contact",
        "id": contact["id"],
        "number": contact["number"],
        "name": "Ada Lovelace",
        "company_name": None,
        "email": "ada@example.org",
        "phone": None,
        "mobile_phone": None,
        "created_at": contact["created_at"],
        "reasons": ["email", "name"],
        "similarity": 1.0,
    }
    assert (second["name"], second["reasons"]) == ("Ida Lovelace", ["name"])
    assert 0.6 <= second["similarity"] < 1
    assert await sales.facts() == ["contact.created", "contact.created"]


async def test_a_form_that_knows_nothing_yet_is_like_nobody(sales: Sales) -> None:
    await sales.make("contacts", last_name="Lovelace")
    for collection in ("leads", "accounts", "contacts"):
        assert await checked(sales, collection) == {}


async def test_checking_needs_the_right_to_create(sales_for: Callable[[Principal], Sales]) -> None:
    reader = sales_for(principal(Depth.ORGANIZATION, lead="04000"))
    answer = await reader.client.post(f"{API}/leads/duplicates", {"last_name": "Lovelace"})
    assert (answer.status, answer.problem) == (403, "forbidden")


@pytest.mark.parametrize("depth", [Depth.NONE, Depth.USER])
async def test_what_the_caller_may_not_read_is_only_hidden(
    sales: Sales, sales_for: Callable[[Principal], Sales], depth: Depth
) -> None:
    await sales.make("contacts", last_name="Byron", email="ada@example.org")
    seller = sales_for(principal(Depth.USER, contact=depth))
    mine = await seller.make("leads", **ADA)
    answer = await ask(seller.client, "leads", last_name="Lovelace", email="ada@example.org")
    found = [found.get("id", "hidden") for found in answer.json["duplicates"]]
    assert sorted(found) == sorted([mine["id"], "hidden"])
    body = {"topic": "Card", "last_name": "B", "email": "ada@example.org"}
    refused = await seller.client.post(f"{API}/leads?duplicates=report", body)
    assert {"hidden": True} in refused.json["duplicates"]


async def test_a_change_into_somebody_else_is_reported_when_asked(sales: Sales) -> None:
    known = await sales.make("contacts", last_name="Byron", email="ada@example.org")
    lead = await sales.make("leads", topic="Card", last_name="Lovelace")
    path = f"{API}/leads/{lead['id']}"
    answer = await sales.client.patch(f"{path}?duplicates=report", {"email": "ada@example.org"})
    assert (answer.status, answer.problem) == (409, "possible-duplicates")
    assert [found["id"] for found in answer.json["duplicates"]] == [known["id"]]
    assert (await sales.get("leads", lead["id"]))["version"] == 1
    assert (await sales.client.patch(path, {"email": "ada@example.org"})).status == 200
    again = await sales.client.patch(f"{path}?duplicates=report", {"topic": "Gold card"})
    assert again.status == 200, "who it is did not change"


@pytest.mark.parametrize("collection", ["leads", "accounts", "contacts"])
async def test_a_record_is_no_duplicate_of_itself(sales: Sales, collection: str) -> None:
    fields: dict[str, Json] = {
        "leads": ADA,
        "accounts": {"name": "Analytical Engines Ltd", "email": "ada@example.org"},
        "contacts": {"last_name": "Lovelace", "email": "ada@example.org"},
    }
    record = await sales.make(collection, **fields[collection])
    path = f"{API}/{collection}/{record['id']}?duplicates=report"
    assert (await sales.client.patch(path, {"phone": "+4930123456"})).status == 200


async def test_a_lead_is_found_by_its_index_whatever_surrounds_its_name(sales: Sales, runtime: Runtime) -> None:
    """Leads have no index of names. The index of the search text must find every lead with a similar name."""
    random = Random(1)
    syllables = re.findall("..", "anberchidorelfaguhilikjokalovmarniosquerstatumulviwenxazo")

    def word() -> str:
        return "".join(random.choices(syllables, k=random.randint(1, 4)))

    def misspelt(name: str) -> str:
        letters = list(name)
        for _ in range(random.randint(0, 4)):
            place = random.randrange(len(letters))
            letters[place : place + 1] = random.choice(["", random.choice("aeioulrst"), letters[place] * 2])
        return "".join(letters)

    names = [f"{word()} {word()}" for _ in range(4000)]
    rows = [(name, misspelt(name), f"{word()} {random.choice(names)} {word()}", f"{word()} {word()}") for name in names]
    async with runtime.db.autocommit() as conn:
        counts: Any = (
            await conn.exec_driver_sql(
                "select count(*), count(*) filter (where a <% (before || ' ' || b || ' ' || after))"
                " from unnest($1::text[], $2::text[], $3::text[], $4::text[]) r (a, b, before, after) where a % b",
                tuple(list(column) for column in zip(*rows, strict=True)),
            )
        ).one()
    similar, through_the_index = counts
    assert similar > 1000
    assert through_the_index == similar
