"""Texts are stored and compared in one normal form, and single-line fields contain one visible line."""

import pytest

from crm_contracts.sales.pricing import PricedLine
from crm_contracts.sales.quote import QuoteCreated
from crm_contracts.samples import sample
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client
from crm_sales.pricing.lines import as_inputs

from .journey import API, Sales

COMPOSED = "Garc\u00eda"
DECOMPOSED = "Garci\u0301a"
UNSEEN = ("\u200b", "\u200d\u200e", "\u3164", "\x01\x7f", "\u202e\u2066", "\ufe0f")
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SPOKEN = (FAMILY, "می\u200cخواهم", "Ada  Lovelace", "D’Angelo", "田中 健太")


async def test_a_name_is_found_however_its_accents_are_sent(client: Client, sales: Sales) -> None:
    contact = await sales.make("contacts", first_name="Ana", last_name=DECOMPOSED)
    assert contact["last_name"] == COMPOSED
    for name in (COMPOSED, DECOMPOSED):
        for question in (f"last_name={name}", f"last_name[contains]={name}", f"q={name}"):
            assert [found["id"] for found in await sales.page("contacts", question)] == [contact["id"]], question
        tree = {"filter": {"field": "last_name", "op": "starts_with", "value": name}}
        found = await client.post(f"{API}/contacts/query", tree)
        assert [one["id"] for one in found.json["items"]] == [contact["id"]]
        likely = await client.post(f"{API}/contacts/duplicates", {"first_name": "Ana", "last_name": name})
        assert [one["id"] for one in likely.json["duplicates"]] == [contact["id"]]
    patched = await sales.patch("contacts", contact, job_title="Directora te\u0301cnica")
    assert patched["job_title"] == "Directora t\u00e9cnica"


async def test_a_code_is_found_by_a_part(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Fleet", last_name="Lovelace", budget={"amount": "7.00", "currency": "EUR"})
    for question, found in (("starts_with]=EU", [lead["id"]]), ("contains]=UR", [lead["id"]]), ("starts_with]=US", [])):
        assert [one["id"] for one in await sales.page("leads", f"budget.currency[{question}")] == found, question


async def test_a_local_number_that_is_no_e164_is_refused(client: Client) -> None:
    answer = await client.post(f"{API}/contacts", {"last_name": "Lovelace", "phone": "+4978"})
    assert (answer.status, answer.problem) == (422, "invalid-phone")


@pytest.mark.parametrize("name", UNSEEN)
async def test_a_name_that_cannot_be_seen_is_refused(client: Client, name: str) -> None:
    answer = await client.post(f"{API}/contacts", {"last_name": name})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/last_name")
    assert "at least one visible character" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize("name", SPOKEN)
async def test_a_name_in_any_language_is_kept_as_it_is(sales: Sales, name: str) -> None:
    assert (await sales.make("contacts", last_name=name))["last_name"] == name


async def test_a_text_of_many_lines_keeps_them(sales: Sales) -> None:
    assert (await sales.make("contacts", last_name="Ada", description="a\n\tb"))["description"] == "a\n\tb"


BROKEN = ("ACME\nGmbH", "ACME\tGmbH", "ACME\u2028GmbH", "ACME\x85GmbH", "ACME\x1bGmbH")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_text_of_one_line_has_no_line_breaks_and_control_characters(client: Client, name: str) -> None:
    company = {"name": "ACME", "billing_address": {"city": name}}
    for path, body, pointer in (
        ("accounts", {"name": name}, "/name"),
        ("accounts", company, "/billing_address/city"),
        ("leads", {"topic": name, "last_name": "Ada"}, "/topic"),
    ):
        answer = await client.post(f"{API}/{path}", body)
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
        assert answer.json["errors"][0]["code"] == "control-characters"
    wrapped = await client.post(f"{API}/accounts", {"name": "\n ACME \t", "description": name})
    assert (wrapped.json["name"], wrapped.json["description"]) == ("ACME", name), "long texts have lines"


async def test_what_an_earlier_release_took_stays_readable_and_can_be_changed(
    sales: Sales, client: Client, runtime: Runtime
) -> None:
    account = await sales.make("accounts", name="ACME", billing_address={"city": "Wien"})
    async with runtime.db.connect(autocommit=True) as conn:
        await conn.exec_driver_sql(
            "update account set name = $1::text, billing_address = jsonb_set(billing_address, '{city}', to_jsonb($1::text))"
            " where id = $2::text::uuid",
            ("ACME\tGmbH", account["id"]),
        )
    got = await client.get(f"{API}/accounts/{account['id']}")
    assert (got.json["name"], got.json["billing_address"]["city"]) == ("ACME\tGmbH", "ACME\tGmbH")
    changed = await sales.patch("accounts", got.json, industry="Banking", billing_address={"region": "Wien"})
    assert (changed["name"], changed["billing_address"]["city"]) == ("ACME\tGmbH", "ACME\tGmbH")


def test_old_lines_are_priced_again() -> None:
    [stored, *_] = sample(QuoteCreated)["data"]["record"]["lines"]
    line = PricedLine.stored(stored | {"name": "Gold\tcard", "unit": "per\tpiece"})
    assert [(again.name, again.unit) for again in as_inputs([line])] == [("Gold\tcard", "per\tpiece")]
