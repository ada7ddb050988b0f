"""Notes: on records of any service, in their timelines, and gone with them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from crm_activities.worker import TIMERS
from crm_contracts.sales.account import AccountCreated, AccountDeleted, AccountMerged
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, principal

NOTES = "/api/v1/notes"
ME = UUID("01900000-0000-7000-8000-0000000000ac")


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.fixture
async def account(story: Any, hear: Any) -> Any:
    """An account of ours that this service has heard of."""
    made = story(owner=ME)
    await hear(made.tell(AccountCreated, {"name": "Engines Ltd", "status": "active"}))
    return made


def on(record: Any, text: str = "Call on Mondays.\nNever on Fridays.", **more: Any) -> dict[str, Any]:
    return {"regarding": {"type": "account", "id": str(record.id)}, "text": text, **more}


async def test_a_note_is_written_found_changed_and_deleted(client: Client, account: Any) -> None:
    answer = await client.post(NOTES, on(account, pinned=True))
    assert (answer.status, answer.etag) == (201, '"1"')
    note = answer.json
    assert (note["regarding"]["name"], note["pinned"], note["owner_id"]) == ("Engines Ltd", True, str(ME))
    path = f"{NOTES}/{note['id']}"
    assert (await client.get(path)).json == note
    for query in ("q=fridays", f"regarding.id={account.id}", "pinned=true"):
        assert [one["id"] for one in (await client.get(f"{NOTES}?{query}")).json["items"]] == [note["id"]], query
    changed = await client.patch(path, {"pinned": False}, etag='"1"')
    assert (changed.status, changed.json["pinned"], changed.json["version"]) == (200, False, 2)
    history = (await client.get(f"{path}/history")).json["items"]
    assert [one["fact"] for one in history] == ["updated", "created"]
    assert (await client.delete(path)).status == 204
    assert (await client.get(path)).status == 404


async def test_a_timeline_shows_the_notes_on_its_record(client: Client, account: Any, client_for: Any) -> None:
    note = (await client.post(NOTES, on(account))).json
    long = (await client.post(NOTES, on(account, "x" * 300))).json
    items = (await client.get(f"/api/v1/timeline?regarding={account.id}&limit=2")).json
    assert [(one["kind"], one["type"], one["id"]) for one in items["items"]] == [
        ("note", "note", long["id"]),
        ("note", "note", note["id"]),
    ]
    assert [len(one["title"]) for one in items["items"]] == [200, len("Call on Mondays.")]
    assert items["items"][1]["data"] == {"pinned": False, "owner_type": "user", "owner_id": str(ME)}
    rest = (await client.get(f"/api/v1/timeline?regarding={account.id}&after={items['next']}")).json["items"]
    assert [one["kind"] for one in rest] == ["event"]
    others = client_for(principal(note="00000"))
    shown = (await others.get(f"/api/v1/timeline?regarding={account.id}")).json["items"]
    assert [one["kind"] for one in shown] == ["event"]


async def test_only_who_reads_the_record_writes_a_note_on_it(
    client: Client, client_for: Callable[[Principal], Client], account: Any
) -> None:
    stranger = client_for(principal(depth=Depth.USER))
    refused = await stranger.post(NOTES, on(account))
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, "unknown-reference")
    note = (await client.post(NOTES, on(account))).json
    assert (await stranger.get(f"{NOTES}/{note['id']}")).status == 404
    own = {"regarding": {"type": "note", "id": note["id"]}, "text": "On a note"}
    assert (await client.post(NOTES, own)).status == 422
    unknown = {"regarding": {"type": "lead", "id": str(new_id())}, "text": "On nothing"}
    assert (await client.post(NOTES, unknown)).status == 422
    assert (await client.post(NOTES, on(account, " "))).status == 422


async def test_notes_follow_a_merge_and_go_with_their_record(
    client: Client, account: Any, story: Any, hear: Any, runtime: Runtime, rows: Any
) -> None:
    other = story(owner=ME)
    await hear(other.tell(AccountCreated, {"name": "Looms Ltd", "status": "active"}))
    note = (await client.post(NOTES, on(other))).json
    path = f"/api/v1/attachments?regarding_type=note&regarding_id={note['id']}&name=a.txt"
    file = await client.post(path, body=b"of a note")
    assert (file.status, file.json["regarding"]["name"]) == (201, "Call on Mondays.")
    await hear(other.tell(AccountMerged, survivor_id=str(account.id)))
    assert await rows("select regarding_id, version from note") == [(account.id, 2)]
    await hear(account.tell(AccountDeleted))
    await TimerLoop(TIMERS, runtime).fire_due()
    assert await rows("select * from note") == []
