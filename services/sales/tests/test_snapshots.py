"""Snapshots: what a late joiner gets of each entity is what the record's own events say."""

from crm_contracts.catalogue import event_for
from crm_kit.process.runtime import Runtime
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.testing import People
from crm_sales.tables import ENTITIES

from .journey import ADA, Sales, euros
from .paperwork import derived, pay, submitted
from .selling import VAN, make_quote


async def tell_a_story_of_each(sales: Sales, people: People) -> None:
    """At least one record of each entity, most of them changed since they were made."""
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    list_price = {"amount": "12.5", "currency": "USD"}
    card = await sales.make("products", name="Gold card", list_price=list_price, valid_to="2030-01-01")
    retail = await sales.make("price-lists", name="Retail", currency="USD")
    in_retail = {"price_list_id": retail["id"], "product_id": card["id"]}
    breaks = [{"min_quantity": "2", "discount_percent": 5}]
    await sales.make("price-list-items", **in_retail, amount=list_price, volume_breaks=breaks)
    await sales.make("competitors", name="Difference Engines Ltd", website="https://example.org")
    await sales.make("sales-literature", title="Fees", type="price_sheets", body="None", expires_on="2030-01-01")
    lead = await sales.make("leads", **ADA)
    qualified = await sales.act("leads", lead, "qualify")
    customer = {"type": "contact", "id": qualified["contact_id"]}
    await sales.make("sales-contracts", name="Card", customer=customer, start_date="2026-01-01", value=list_price)
    await sales.act("opportunities", {"id": qualified["opportunity_id"]}, "win", actual_value=euros("10.00"))
    await sales.act("quotes", await make_quote(sales, bill_to={"city": "London"}, discount_percent=2.5), "activate")
    order = await submitted(sales, freight=euros("1.00"), requested_delivery="2030-01-01")
    await pay(sales, await sales.act("invoices", await derived(sales, "orders", order, "invoice"), "issue"), "0.01")
    await sales.make("opportunities", name="Fleet", lines=[VAN], estimated_value_source="lines")
    await sales.make_customers_on_win()
    days = {"period_start": "2026-01-01", "period_end": "2026-12-31"}
    ada = {"type": "user", "id": str(await people.user())}
    await sales.make("goals", name="Cards", metric="won_count", target_count=1, goal_owner=ada, **days)


async def test_a_snapshot_shows_every_record_as_its_last_event_did(
    sales: Sales, runtime: Runtime, people: People
) -> None:
    await tell_a_story_of_each(sales, people)
    last = {event["subject"]: event["data"]["record"] for event in await sales.events()}
    sources = snapshot_sources(runtime, ENTITIES)
    assert sources.keys() == {entity.entity() for entity in ENTITIES}
    for name, page in sources.items():
        snapshot = event_for(f"crm.sales.{name}.snapshot.v1")
        assert snapshot is not None
        async with runtime.db.autocommit() as conn:
            rows = await page(conn, None, 500)
            assert rows, name
            assert list(await page(conn, rows[-1].id, 500)) == []
        for row in rows:
            shown = snapshot.model_validate({"record": row.record, "changed": {}}).record
            assert shown.version == row.version
            if str(row.id) in last:
                assert shown == snapshot.model_validate({"record": last[str(row.id)], "changed": {}}).record
