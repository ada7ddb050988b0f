"""Which campaigns leads, deals and documents can refer to: those that sales knows and the caller may read."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_contracts.marketing import (
    CampaignAssigned,
    CampaignCanceled,
    CampaignCreated,
    CampaignDeleted,
    CampaignSnapshot,
)
from crm_kit.access.privileges import Depth, Principal
from crm_kit.store.record import new_id
from crm_kit.testing import principal

from .hearing import Story
from .journey import ADA, Json, Sales
from .test_import import imported

Hear = Callable[..., Awaitable[None]]
For = Callable[[Principal], Sales]
LINE = {"name": "Van", "quantity": "1", "unit_price": {"amount": "1.00", "currency": "EUR"}}
BODIES: dict[str, Json] = {
    "leads": ADA,
    "opportunities": {"name": "Fleet"},
    "quotes": {"name": "Fleet", "lines": [LINE]},
    "orders": {"name": "Fleet", "lines": [LINE]},
    "invoices": {"name": "Fleet", "lines": [LINE]},
}


def refused(answer: Any) -> tuple[int, str | None, str]:
    return answer.status, answer.problem, answer.json["errors"][0]["pointer"]


REFUSED = (422, "unknown-reference", "/campaign_id")


@pytest.mark.parametrize("collection", BODIES)
async def test_a_campaign_is_known_and_readable_when_it_is_named(
    sales: Sales, sales_for: For, campaign: str, collection: str
) -> None:
    body = BODIES[collection]
    blind = sales_for(principal(campaign=Depth.USER))
    for caller, asked in (
        (sales, str(new_id())),
        (blind, campaign),
        (sales_for(principal(campaign="40444")), campaign),
    ):
        assert refused(await caller.try_make(collection, **body, campaign_id=asked)) == REFUSED
    record = await sales.make(collection, **body)
    assert refused(await blind.try_patch(collection, record, campaign_id=campaign)) == REFUSED
    assert (await sales.patch(collection, record, campaign_id=campaign))["campaign_id"] == campaign
    # An unchanged campaign is not a new reference, and everybody can remove it.
    kept = await blind.patch(collection, record, campaign_id=campaign, description="Call first")
    assert (kept["campaign_id"], kept["version"]) == (campaign, 3)
    assert (await blind.patch(collection, record, campaign_id=None))["campaign_id"] is None


async def test_a_campaigns_owner_names_it_in_any_state_until_it_is_deleted(
    sales_for: For, sales: Sales, hear: Hear
) -> None:
    me, told = principal(campaign=Depth.USER), Story()
    mine = sales_for(me)
    lead = {**ADA, "campaign_id": str(told.id)}
    await hear(told.tell(CampaignCreated, owner_id=new_id()))
    assert refused(await mine.try_make("leads", **lead)) == REFUSED
    await hear(told.tell(CampaignAssigned, owner_id=me.id))
    await mine.make("leads", **lead)
    await hear(told.tell(CampaignCanceled, status="canceled", status_reason="canceled"))
    await mine.make("leads", **lead)
    await hear(told.tell(CampaignDeleted))
    assert refused(await sales.try_make("leads", **lead)) == REFUSED


async def test_sales_that_joins_later_learns_campaigns_from_snapshots(sales: Sales, hear: Hear) -> None:
    told = Story(version=3)
    await hear(told.tell_again(CampaignSnapshot, owner_id=new_id()))
    await sales.make("leads", **ADA, campaign_id=str(told.id))


async def test_what_is_made_of_a_lead_keeps_its_campaign_though_who_makes_it_may_not_read_that(
    sales: Sales, sales_for: For, campaign: str
) -> None:
    lead = await sales.make("leads", **ADA, campaign_id=campaign)
    blind = sales_for(principal(campaign=Depth.NONE))
    qualified = await blind.act("leads", lead, "qualify")
    deal = await blind.get("opportunities", qualified["opportunity_id"])
    assert deal["campaign_id"] == campaign


async def test_an_imported_row_names_a_campaign_by_number_or_name(sales: Sales, sales_for: For, hear: Hear) -> None:
    told = Story()
    await hear(told.tell(CampaignCreated, owner_id=new_id(), number="CMP-00042", name="Spring"))
    content = "topic,last_name,campaign\nA,One,CMP-00042\nB,Two,Spring\nC,Six,Autumn\n"
    job, errors = await imported(sales.client, sales.runtime, content)
    assert (job["done"], [error[:3] for error in errors]) == (2, [["4", "campaign", "unknown-reference"]])
    assert {lead["campaign_id"] for lead in await sales.page("leads", "")} == {str(told.id)}
    blind = sales_for(principal(campaign=Depth.USER))
    job, errors = await imported(blind.client, sales.runtime, content)
    assert (job["done"], [error[2] for error in errors]) == (0, ["unknown-reference"] * 3)
    await hear(told.tell(CampaignDeleted))
    job, errors = await imported(sales.client, sales.runtime, content)
    assert (job["done"], [error[2] for error in errors]) == (0, ["unknown-reference"] * 3)


@pytest.mark.parametrize(("collection", "name"), [("leads", "last_name"), ("opportunities", "name")])
async def test_an_imported_row_names_only_a_campaign_that_its_importer_may_read(
    sales: Sales, sales_for: For, campaign: str, collection: str, name: str
) -> None:
    blind = sales_for(principal(campaign=Depth.USER))
    for caller, asked, done in ((sales, campaign, 2), (sales, str(new_id()), 0), (blind, campaign, 0)):
        mapping = {"Name": name, "=Card": "topic", f"={asked}": "campaign_id"}
        if collection == "opportunities":
            del mapping["=Card"]
        told = {"to": collection, "mapping": json.dumps(mapping)}
        job, errors = await imported(caller.client, sales.runtime, "Name\nAda\nGrace\n", **told)
        assert (job["status"], job["done"], job["failed"]) == ("completed", done, 2 - done)
        assert [error[2] for error in errors] == ["unknown-reference"] * (2 - done), errors
