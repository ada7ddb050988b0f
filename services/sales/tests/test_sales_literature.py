"""Sales literature: a library of the organisation about products and competitors."""

from collections.abc import Callable
from contextlib import nullcontext
from uuid import uuid4

import pytest

from crm_contracts.sales.choices import LiteratureType
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import InvalidValue
from crm_kit.testing import principal
from crm_sales.sales_literature.domain import require_content

from .journey import API, Sales

SHEET = {"title": "Gold card at a glance", "type": "product_sheet", "link": "https://example.org/gold.pdf"}


async def test_a_piece_is_made_found_changed_put_away_and_deleted(sales: Sales) -> None:
    made = await sales.make("sales-literature", **SHEET, keywords="fees insurance", expires_on="2030-12-31")
    assert (made["status"], made["body"], made["product_ids"], made["competitor_ids"]) == ("active", None, [], [])
    assert made["allowed_actions"] == ["deactivate"]
    assert "owner_id" not in made
    for query in ("q=insurance+gold", "type=product_sheet", "expires_on[lte]=2030-12-31", "sort=-expires_on"):
        assert [one["id"] for one in await sales.page("sales-literature", query)] == [made["id"]], query
    assert await sales.page("sales-literature", "q=silver") == []
    assert (await sales.patch("sales-literature", made, type="product_sheet"))["version"] == 1
    assert (await sales.patch("sales-literature", made, title="Gold"))["version"] == 2
    off = await sales.act("sales-literature", made, "deactivate", reason="Out of date")
    assert (off["status"], off["allowed_actions"]) == ("inactive", ["activate"])
    assert (await sales.try_patch("sales-literature", made, title="Card")).problem == "illegal-transition"
    assert (await sales.act("sales-literature", made, "activate"))["status"] == "active"
    assert (await sales.delete("sales-literature", made)).status == 204
    facts = ("created", "updated", "deactivated", "activated", "deleted")
    assert await sales.facts() == [f"sales_literature.{fact}" for fact in facts]


async def test_there_is_something_to_read(sales: Sales) -> None:
    answer = await sales.try_make("sales-literature", title="Nothing", type="news", body="  ")
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, "content-required", "/body")
    made = await sales.make("sales-literature", **SHEET, body="All there is")
    assert (await sales.patch("sales-literature", made, link=None))["body"] == "All there is"
    answer = await sales.try_patch("sales-literature", made, body=None)
    assert (answer.status, answer.problem) == (422, "content-required")


@pytest.mark.parametrize(("body", "link"), [("a", None), (None, "b"), ("a", "b"), (None, None)])
def test_text_or_link_or_both(body: str | None, link: str | None) -> None:
    with nullcontext() if body or link else pytest.raises(InvalidValue):
        require_content(body, link)


def test_the_types_are_those_of_dataverse() -> None:
    assert len(LiteratureType) == 11


async def test_it_is_found_by_what_it_is_about_and_keeps_that_from_being_deleted(sales: Sales) -> None:
    card = await sales.make("products", name="Gold card")
    babbage = await sales.make("competitors", name="Difference Engines Ltd")
    about = {"product_ids": [card["id"]], "competitor_ids": [babbage["id"]]}
    made = await sales.make("sales-literature", **SHEET, **about)
    await sales.make("sales-literature", **SHEET)
    for field, record in (("product_ids", card), ("competitor_ids", babbage)):
        found = await sales.page("sales-literature", f"{field}[contains]={record['id']}")
        assert [one["id"] for one in found] == [made["id"]]
    for collection, record in (("products", card), ("competitors", babbage)):
        answer = await sales.delete(collection, record)
        assert (answer.status, answer.problem) == (409, "in-use")
        assert answer.json["references"] == [{"type": "sales_literature", "id": made["id"], "name": made["title"]}]
    await sales.patch("sales-literature", made, product_ids=[], competitor_ids=[])
    for collection, record in (("products", card), ("competitors", babbage)):
        assert (await sales.delete(collection, record)).status == 204


@pytest.mark.parametrize("field", ["product_ids", "competitor_ids"])
async def test_what_is_not_there_is_refused_with_its_place(sales: Sales, field: str) -> None:
    answer = await sales.try_make("sales-literature", **SHEET, **{field: [str(uuid4())]})
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert answer.json["errors"][0]["pointer"] == f"/{field}/0"
    made = await sales.make("sales-literature", **SHEET)
    assert (await sales.try_patch("sales-literature", made, **{field: [str(uuid4())]})).status == 422


async def test_everybody_reads_and_only_the_organisations_depth_writes(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    made = await sales.make("sales-literature", **SHEET)
    seller = sales_for(principal(Depth.USER, sales_literature="04000"))
    assert (await seller.get("sales-literature", made["id"]))["allowed_actions"] == []
    assert (await seller.try_make("sales-literature", **SHEET)).status == 403
    assert (await seller.try_patch("sales-literature", made, title="Mine")).status == 403
    branch = sales_for(principal(Depth.DEEP))
    assert (await branch.client.get(f"{API}/sales-literature/{made['id']}")).status == 404
