"""Texts are stored and compared in one normal form, and single-line fields contain one visible line."""

import pytest

from crm_kit.testing import Client

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
