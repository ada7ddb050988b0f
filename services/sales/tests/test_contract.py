"""Sales publishes what its contract says.

Every fact can occur, every event matches its public schema, and a snapshot shows what the last event did.
"""

from collections import defaultdict
from uuid import UUID

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from crm_contracts.catalogue import event_for, events_of
from crm_contracts.schemas import event_schema
from crm_kit.process.runtime import Runtime
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.store.record import new_id
from crm_kit.testing import People
from crm_kit.testing.removals import Removal
from crm_sales.tables import ENTITIES

from .conftest import Hear
from .journey import ADA, Json, Sales, euros
from .paperwork import play_invoices, play_orders
from .plain import play_plain
from .selling import FLEET, play_quotes

ON_REQUEST = "snapshot"


async def play(sales: Sales, people: People) -> None:
    """Cause every event of sales at least once."""
    grace = await people.user("Grace Hopper")
    to_grace = {"owner_type": "user", "owner_id": str(grace)}
    # This leaves a rate for dollars and the stage "negotiate".
    await play_plain(sales, to_grace)

    dollars = {"amount": "12.34", "currency": "USD"}
    lead = await sales.make("leads", **(ADA | {"estimated_value": dollars}), birth_date="1990-12-10")
    await sales.patch("leads", lead, rating="hot", address={"city": "London", "country": "GB"})
    await sales.act("leads", lead, "contact")
    await sales.act("leads", lead, "disqualify", reason="lost")
    await sales.act("leads", lead, "reopen")
    await sales.act("leads", lead, "assign", **to_grace)
    qualified = await sales.act("leads", lead, "qualify")

    deal = {"id": qualified["opportunity_id"]}
    await sales.patch("opportunities", deal, probability=12.5, description="x" * 2000)
    await sales.act("opportunities", deal, "advance", stage="negotiate")
    await sales.act("opportunities", deal, "hold")
    await sales.act("opportunities", deal, "resume")
    await sales.make("quotes", **FLEET, opportunity_id=deal["id"])
    await sales.act("opportunities", deal, "lose", reason="out_sold", note="Too dear")
    await sales.act("opportunities", deal, "reopen", reopen_quotes=True)
    await sales.act("opportunities", deal, "assign", **to_grace)
    await sales.act("opportunities", deal, "win")

    await play_quotes(sales, to_grace)
    await play_orders(sales, to_grace)
    await play_invoices(sales, to_grace)

    for collection, record in (
        ("accounts", {"id": qualified["account_id"]}),
        ("contacts", {"id": qualified["contact_id"]}),
    ):
        await sales.patch(collection, record, evaluation="Pays in time")
        await sales.act(collection, record, "deactivate", reason="Moved")
        await sales.act(collection, record, "activate")
        await sales.act(collection, record, "assign", **to_grace)
    card = await sales.make("products", name="Gold card", list_price=dollars, valid_from="2026-01-01")
    await sales.patch("products", card, tax_percent=19, valid_to="2099-12-31")
    for command in ("activate", "retire", "revise"):
        await sales.act("products", card, command)
    retail = await sales.make("price-lists", name="Retail", currency="USD")
    price = await sales.make("price-list-items", price_list_id=retail["id"], product_id=card["id"], amount=dollars)
    breaks = [{"min_quantity": "10", "discount_amount": dollars}, {"min_quantity": "20.5", "discount_percent": 12.5}]
    await sales.patch("price-list-items", price, volume_breaks=breaks)
    for collection, fields in (
        ("accounts", {"name": "Engines", "annual_revenue": euros("1.00")}),
        ("contacts", {"last_name": "Lovelace"}),
        ("leads", ADA),
        ("opportunities", {"name": "Fleet"}),
    ):
        twin = await sales.make(collection, **fields)
        await sales.act(collection, twin, "merge", into=(await sales.make(collection, **fields))["id"])
    account = await sales.make("accounts", name="Short-lived", annual_revenue=euros("1.00"))
    contact = await sales.make("contacts", last_name="Short-lived")
    spare = await sales.make("opportunities", name="Short-lived")
    other = await sales.make("leads", topic="Short-lived", company_name="Nobody")
    spare_list = await sales.make("price-lists", name="Short-lived", currency="USD")
    spare_price = await sales.make(
        "price-list-items", price_list_id=spare_list["id"], product_id=card["id"], amount=dollars
    )
    spare_card = await sales.make("products", name="Short-lived")
    for collection, record in (
        ("accounts", account),
        ("contacts", contact),
        ("opportunities", spare),
        ("leads", other),
        ("price-list-items", spare_price),
        ("products", spare_card),
    ):
        assert (await sales.delete(collection, record)).status == 204
    babbage = await sales.make("competitors", name="Babbage Ltd")
    contested = await sales.make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    await sales.act("opportunities", contested, "lose", competitor_id=babbage["id"])
    await play_goals(sales, grace)
    await play_contracts(sales, to_grace)
    await sales.make_customers_on_win()


async def play_contracts(sales: Sales, to_grace: Json) -> None:
    """Cause every event of sales contracts."""
    account = await sales.make("accounts", name="Movers")
    customer, value = {"type": "account", "id": account["id"]}, euros("12000.00")
    for end in ("end", "terminate", None):
        contract = await sales.make("sales-contracts", name="Fleet service", customer=customer, value=value)
        await sales.patch("sales-contracts", contract, start_date="2090-01-01", end_date="2090-12-31")
        if end is None:
            assert (await sales.delete("sales-contracts", contract)).status == 204
            return
        await sales.act("sales-contracts", contract, "activate")
        await sales.act("sales-contracts", contract, "assign", **to_grace)
        await sales.act("sales-contracts", contract, end, **({"reason": "Sold"} if end == "terminate" else {}))


async def play_goals(sales: Sales, grace: UUID) -> None:
    """Cause every event of goals."""
    days = {"period_start": "2026-01-01", "period_end": "2026-12-31"}
    owner = {"goal_owner": {"type": "user", "id": str(grace)}}
    goal = await sales.make("goals", name="Cards", metric="won_amount", target=euros("100.00"), **days, **owner)
    count = await sales.make("goals", name="Leads", metric="leads_qualified", target_count=3, **days)
    await sales.patch("goals", goal, stretch_target=euros("120.00"), goal_owner=None, description="x" * 2000)
    await sales.act("goals", goal, "assign", owner_type="user", owner_id=str(grace))
    for record in (goal, count):
        await sales.act("goals", record, "close")
        await sales.act("goals", record, "reopen")
    await sales.act("goals", count, "discard")
    assert (await sales.delete("goals", count)).status == 204


async def hear_of_a_removal(hear: Hear) -> None:
    """Cause every event of handovers."""
    removal = Removal(new_id())
    await hear(removal.asked(), removal.refused())


async def test_every_fact_happens_and_every_event_fits_its_public_schema(
    sales: Sales, people: People, hear: Hear
) -> None:
    await play(sales, people)
    await hear_of_a_removal(hear)
    events = await sales.events()
    schemas = {event.type: Draft202012Validator(event_schema(event)) for event in events_of("sales")}
    for event in events:
        errors = [error.message for error in schemas[event["type"]].iter_errors(event["data"])]
        assert errors == [], event["type"]
    # The seed creates the settings before any test.
    silent = schemas.keys() - {event["type"] for event in events} - {"crm.sales.sales_settings.created.v1"}
    assert {type_.split(".")[3] for type_ in silent} == {ON_REQUEST}


async def test_versions_in_events_are_gapless_per_record(sales: Sales, people: People) -> None:
    await play(sales, people)
    versions: dict[str, list[int]] = defaultdict(list)
    first: dict[str, Json] = {}
    for event in await sales.events():
        first.setdefault(event["subject"], event)
        versions[event["subject"]].append(event["entityversion"])
        assert event["data"]["record"]["version"] == event["entityversion"]
    for subject, seen in versions.items():
        begins = 1 if first[subject]["type"].split(".")[3] == "created" else 2
        assert seen == list(range(begins, begins + len(seen)))


async def test_a_snapshot_shows_every_record_as_its_last_event_did(
    sales: Sales, runtime: Runtime, people: People, hear: Hear
) -> None:
    await play(sales, people)
    await hear_of_a_removal(hear)
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
