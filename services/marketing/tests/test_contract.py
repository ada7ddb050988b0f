"""Marketing publishes what its contract says.

Every fact occurs, every event matches its public schema, and a snapshot shows every record as its last event did.
"""

from collections import defaultdict
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from crm_contracts.catalogue import events_of
from crm_contracts.marketing import HANDOVERS, CampaignSnapshot
from crm_contracts.schemas import event_schema
from crm_kit.process.runtime import Runtime
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.store.record import new_id
from crm_kit.testing import Client, announced
from crm_kit.testing.removals import Removal
from crm_marketing.tables import ENTITIES

from .conftest import Hear

CAMPAIGNS = "/api/v1/campaigns"


async def play(client: Client, people: Any) -> None:
    """Cause every event of marketing at least once."""
    grace = await people.user("Grace Hopper")
    made = await client.post(
        CAMPAIGNS,
        {
            "name": "Gold card",
            "channels": ["email"],
            "expected_response": 2.5,
            "budget": {"amount": "5.00", "currency": "EUR"},
        },
    )
    path = f"{CAMPAIGNS}/{made.json['id']}"
    await client.patch(
        path, {"type": "event", "offer": "x" * 2000, "channels": ["post"], "proposed_start": "2026-12-01"}
    )
    await client.post(f"{path}/assign", {"owner_type": "user", "owner_id": str(grace)})
    for command in ("ready", "launch", "suspend", "resume", "complete"):
        assert (await client.post(f"{path}/{command}")).status == 200
    for ending in ("cancel", None):
        copy = await client.post(f"{path}/copy")
        if ending:
            await client.post(f"{CAMPAIGNS}/{copy.json['id']}/{ending}")
        else:
            assert (await client.delete(f"{CAMPAIGNS}/{copy.json['id']}")).status == 204


async def events(runtime: Runtime) -> list[dict[str, Any]]:
    async with runtime.db.autocommit() as conn:
        return await announced(conn)


async def test_every_fact_happens_and_every_event_fits_its_public_schema(
    client: Client, runtime: Runtime, people: Any, hear: Hear
) -> None:
    await play(client, people)
    removal = Removal(new_id())
    await hear(removal.asked(), removal.refused())
    told = await events(runtime)
    schemas = {event.type: Draft202012Validator(event_schema(event)) for event in events_of("marketing")}
    for event in told:
        errors = [error.message for error in schemas[event["type"]].iter_errors(event["data"])]
        assert errors == [], event["type"]
    silent = schemas.keys() - {event["type"] for event in told}
    assert silent == {CampaignSnapshot.type, HANDOVERS.snapshot.type}
    versions: dict[str, list[int]] = defaultdict(list)
    for event in told:
        versions[event["subject"]].append(event["entityversion"])
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())


async def test_a_snapshot_shows_every_record_as_its_last_event_did(
    client: Client, runtime: Runtime, people: Any
) -> None:
    await play(client, people)
    last = {event["subject"]: event["data"]["record"] for event in await events(runtime)}
    async with runtime.db.autocommit() as conn:
        page = snapshot_sources(runtime, ENTITIES)["campaign"]
        rows = await page(conn, None, 500)
    assert len(rows) == 2
    for row in rows:
        shown = CampaignSnapshot.model_validate({"record": row.record, "changed": {}}).record
        assert shown == CampaignSnapshot.model_validate({"record": last[str(row.id)], "changed": {}}).record
