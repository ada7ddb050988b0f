"""Contacts: full names, references, and what prevents deletion."""

from urllib.parse import urlencode

import pytest

from crm_kit.testing import People

from .journey import API, Sales

ADA = {"first_name": "Ada", "last_name": "Lovelace", "birth_date": "1990-12-10", "interests": ["sums", "poetry"]}


async def test_a_new_contact_has_a_number_and_a_full_name(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    assert contact["number"].startswith("CON-")
    assert (contact["full_name"], contact["tier"], contact["interests"]) == (
        "Ada Lovelace",
        "prospect",
        ["sums", "poetry"],
    )
    assert await sales.facts() == ["contact.created"]


@pytest.mark.parametrize(
    ("patch", "full_name"),
    [
        ({"first_name": None}, "Lovelace"),
        ({"last_name": "King"}, "Ada King"),
        ({"first_name": "Augusta", "last_name": "King"}, "Augusta King"),
    ],
)
async def test_the_full_name_follows_the_names(sales: Sales, patch: dict[str, str], full_name: str) -> None:
    contact = await sales.make("contacts", **ADA)
    changed = await sales.patch("contacts", contact, **patch)
    assert (changed["full_name"], changed["version"]) == (full_name, 2)
    assert "full_name" in (await sales.events())[-1]["data"]["changed"]
    assert [found["id"] for found in await sales.page("contacts", f"q={full_name.lower()}")] == [contact["id"]]


@pytest.mark.parametrize("field", ["full_name", "number", "status"])
async def test_what_follows_by_itself_cannot_be_sent(sales: Sales, field: str) -> None:
    assert (await sales.try_make("contacts", **ADA, **{field: "x"})).status == 422


async def test_a_contact_keeps_a_last_name(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    for nothing in (None, "", " "):
        assert (await sales.try_patch("contacts", contact, last_name=nothing)).status == 422


async def test_a_list_of_interests_is_replaced_as_a_whole(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    changed = await sales.patch("contacts", contact, interests=["chess"])
    assert changed["interests"] == ["chess"]
    assert (await sales.events())[-1]["data"]["changed"]["interests"] == {"changed": True}
    assert (await sales.patch("contacts", contact, interests=["chess"]))["version"] == 2


async def test_the_account_of_a_contact_is_known_and_active(sales: Sales) -> None:
    account = await sales.make("accounts", name="Engines")
    contact = await sales.make("contacts", **ADA, account_id=account["id"])
    await sales.act("accounts", account, "deactivate")
    answer = await sales.try_make("contacts", **ADA, account_id=account["id"])
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert (await sales.patch("contacts", contact, account_id=account["id"], tier="key"))["tier"] == "key"
    answer = await sales.try_patch("contacts", contact, account_id=contact["id"])
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert (await sales.patch("contacts", contact, account_id=None))["account_id"] is None


async def test_phones_are_kept_as_e164(sales: Sales, people: People) -> None:
    await people.organization(country="GB")
    contact = await sales.make("contacts", **ADA, phone="020 7946 0958", email=" ada@EXAMPLE.org ")
    assert (contact["phone"], contact["email"]) == ("+442079460958", "ada@example.org")


async def test_an_inactive_contact_is_read_only_until_activated(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    await sales.act("contacts", contact, "deactivate")
    answer = await sales.try_patch("contacts", contact, tier="key")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    await sales.act("contacts", contact, "activate")
    assert (await sales.patch("contacts", contact, tier="key"))["tier"] == "key"
    assert await sales.facts() == ["contact.created", "contact.deactivated", "contact.activated", "contact.updated"]


async def test_what_refers_to_a_contact_keeps_it(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    account = await sales.make("accounts", name="Engines", primary_contact_id=contact["id"])
    deal = await sales.make("opportunities", name="Card", customer={"type": "contact", "id": contact["id"]})
    answer = await sales.delete("contacts", contact)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert {found["id"] for found in answer.json["references"]} == {account["id"], deal["id"]}
    await sales.patch("accounts", account, primary_contact_id=None)
    await sales.patch("opportunities", deal, customer=None)
    assert (await sales.delete("contacts", contact)).status == 204
    assert (await sales.facts())[-1] == "contact.deleted"


async def test_contacts_are_found_by_age(sales: Sales) -> None:
    contact = await sales.make("contacts", **ADA)
    await sales.make("contacts", last_name="Babbage", birth_date="1950-12-26")
    body = {"filter": {"all": [{"field": "age", "op": "between", "value": [25, 60]}]}}
    answer = await sales.client.post(f"{API}/contacts/query", body)
    assert [found["id"] for found in answer.json["items"]] == [contact["id"]]


async def test_a_contact_is_assigned(sales: Sales, people: People) -> None:
    contact = await sales.make("contacts", **ADA)
    grace = await people.user("Grace Hopper")
    given = await sales.act("contacts", contact, "assign", owner_type="user", owner_id=str(grace))
    assert given["owner_name"] == "Grace Hopper"
    assert await sales.facts() == ["contact.created", "contact.assigned"]


async def test_an_address_in_another_script_is_stored_in_its_normal_form_and_found_again(sales: Sales) -> None:
    contact = await sales.make("contacts", last_name="Wang", email="用户@XN--FSQU00A.公司")
    assert contact["email"] == "用户@例子.公司"
    for query in ({"email": "用户@例子.公司"}, {"q": "用户@例子"}):
        found = await sales.page("contacts", urlencode(query))
        assert [one["id"] for one in found] == [contact["id"]], query


async def test_a_phone_is_compared_with_the_end_of_a_number_and_a_fragment_anywhere(sales: Sales) -> None:
    for last_name, phone in (("Long", "+4930555000123"), ("Ada", "+49305550001")):
        await sales.make("contacts", last_name=last_name, phone=phone)
    expected = {
        "phone=030 5550001": ["Ada"],
        "phone=%2B49 (0)30 555-0001": ["Ada"],
        "phone=030 555000": [],
        "phone[in]=030 5550001,030 555000123": ["Ada", "Long"],
        "phone[nin]=030 5550001": ["Long"],
        "phone[ne]=030 555000": ["Ada", "Long"],
        "phone=55500": ["Ada", "Long"],
        "phone=5000123": ["Long"],
        "phone=5550": ["Ada", "Long"],
        "phone[contains]=55500": ["Ada", "Long"],
        "q=55500": ["Ada", "Long"],
    }
    for query, names in expected.items():
        found = await sales.page("contacts", f"{query.replace(' ', '%20')}&sort=last_name")
        assert [contact["last_name"] for contact in found] == names, query
