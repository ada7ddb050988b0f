"""Attachments: over HTTP, by other slices, and what becomes of the stored files."""

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import pytest

from crm_activities.attachment.commands import attach
from crm_activities.attachment.erasing import GRACE
from crm_activities.files.opening import storage_of
from crm_activities.files.storage import key_of
from crm_activities.files.stored import UNCLAIMED
from crm_activities.settings import ActivitiesSettings
from crm_activities.task.commands import create_task
from crm_activities.task.schemas import TaskCreate
from crm_activities.worker import TIMERS
from crm_contracts.sales.account import AccountCreated, AccountDeleted, AccountMerged
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Answer, Client, announced, emitted, principal
from crm_kit.work.uow import UnitOfWork

FILES = "/api/v1/attachments"
ME = UUID("01900000-0000-7000-8000-0000000000ab")
PDF = b"%PDF-1.7\n" + b"x" * 1000


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.fixture
async def account(story: Any, hear: Any) -> Any:
    """An account of ours that this service has heard of."""
    made = story(owner=ME)
    await hear(made.tell(AccountCreated, {"name": "Engines Ltd", "status": "active"}))
    return made


def path_of(kind: str, record_id: Any, **more: str) -> str:
    query = "".join(f"&{name}={quote(value, safe='')}" for name, value in more.items())
    return f"{FILES}?regarding_type={kind}&regarding_id={record_id}{query}"


async def attached(client: Client, kind: str, record_id: Any, body: Any = PDF, **more: str) -> dict[str, Any]:
    answer = await client.post(path_of(kind, record_id, **more), body=body)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


async def content(client: Client, attachment: dict[str, Any], method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request(method, f"{FILES}/{attachment['id']}/content", headers=sent)


async def passed(runtime: Runtime, monkeypatch: pytest.MonkeyPatch, after: timedelta = timedelta()) -> None:
    """Let time pass, and the timers of the worker run."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + after)
    await TimerLoop(TIMERS, runtime).fire_due()
    monkeypatch.undo()


async def test_a_file_is_attached_read_and_removed(
    client: Client, account: Any, runtime: Runtime, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", PDF, filename="../見積書.pdf", content_type="text/html")
    answer = await client.post(path_of("account", account.id), body=form)
    assert (answer.status, answer.etag) == (201, '"1"')
    made = answer.json
    assert answer.headers["location"] == f"{FILES}/{made['id']}"
    assert (made["name"], made["media_type"], made["size"]) == ("見積書.pdf", "application/pdf", len(PDF))
    assert made["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert made["regarding"]["name"] == "Engines Ltd"
    assert (await client.get(f"{FILES}/{made['id']}")).json == made
    assert (await client.get(f"{FILES}?regarding={account.id}")).json["items"] == [made]
    read = await content(client, made)
    assert (read.status, read.body, read.etag) == (200, PDF, f'"{made["sha256"]}"')
    assert read.headers["content-disposition"].startswith('attachment; filename="___.pdf"')
    assert read.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in read.headers["content-security-policy"]
    [(file_id,)] = await rows("select file_key from attachment")
    assert (await client.delete(f"{FILES}/{made['id']}")).status == 204
    assert (await content(client, made)).status == 404
    await passed(runtime, monkeypatch)
    assert not await storage_of(runtime).exists(key_of(file_id))
    assert await rows("select * from stored_file") == []


async def test_a_part_the_headers_and_nothing_new_can_be_asked_for(client: Client, account: Any) -> None:
    made = await attached(client, "account", account.id, name="a.pdf")
    part = await content(client, made, range="bytes=0-7")
    assert (part.status, part.body, part.headers["content-range"]) == (206, PDF[:8], f"bytes 0-7/{len(PDF)}")
    resumed = await content(client, made, range="bytes=1000-", if_range=part.etag)
    assert (resumed.status, resumed.body) == (206, PDF[1000:])
    assert (await content(client, made, range="bytes=0-7", if_range='"another"')).status == 200
    assert (await content(client, made, range="bytes=9999-")).headers["content-range"] == f"bytes */{len(PDF)}"
    head = await content(client, made, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(PDF)))
    assert (await content(client, made, if_none_match=part.etag)).status == 304


async def test_a_file_has_a_limit(client: Client, account: Any, runtime: Runtime, rows: Any) -> None:
    runtime.extras["activities"] = ActivitiesSettings.model_validate({"CRM_MAX_FILE_BYTES": 100})

    async def unknown_length() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 50

    try:
        for body in (unknown_length(), b"x" * 101):
            answer = await client.post(path_of("account", account.id), body=body)
            assert (answer.status, answer.problem, answer.json["limit"]) == (413, "body-too-large", 100)
    finally:
        del runtime.extras["activities"]
    assert await rows("select * from attachment") == []


async def test_a_repeated_upload_is_one_attachment(client: Client, account: Any, rows: Any) -> None:
    path, headers = path_of("account", account.id, name="a.pdf"), {"idempotency-key": str(new_id())}
    first, again = [await client.post(path, body=PDF, headers=headers) for _ in range(2)]
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    other = await client.post(path, body=PDF + b"x", headers=headers)
    assert (other.status, other.problem) == (422, "idempotency-key-reused")
    assert len(await rows("select * from attachment")) == 1


async def test_what_nothing_claimed_is_deleted_after_a_day(
    client: Client, account: Any, runtime: Runtime, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"idempotency-key": str(new_id())}
    for _ in range(2):
        assert (await client.post(path_of("account", account.id), body=PDF, headers=headers)).status == 201
    await passed(runtime, monkeypatch)
    assert len(await rows("select * from stored_file")) == 2
    await passed(runtime, monkeypatch, UNCLAIMED + timedelta(seconds=1))
    [(kept,)] = await rows("select id from stored_file")
    assert await rows("select file_key from attachment") == [(kept,)]
    assert await storage_of(runtime).exists(key_of(kept))


Caller = Callable[[Principal | None], Client]


async def test_the_record_decides_who_may_read_and_write(client: Client, client_for: Caller, account: Any) -> None:
    made = await attached(client, "account", account.id)
    path = f"{FILES}/{made['id']}"
    stranger = client_for(principal(depth=Depth.USER))
    for hidden in (path, f"{path}/content", f"{path}/history", f"{FILES}?regarding={account.id}"):
        assert (await stranger.get(hidden)).status == 404, hidden
    assert (await stranger.post(path_of("account", account.id), body=PDF)).status == 404
    assert (await stranger.delete(path)).status == 404
    reader = client_for(principal(attachment="44444", account="04000"))
    assert (await reader.get(f"{path}/content")).status == 200
    assert (await reader.get(f"{path}/history")).status == 200
    assert (await reader.post(path_of("account", account.id), body=PDF)).status == 403
    assert (await reader.patch(path, {"name": "b.pdf"})).status == 403
    assert (await reader.delete(path)).status == 403
    writer = client_for(principal(attachment="11111", account="04400"))
    renamed = await writer.patch(path, {"name": "b/c.pdf"}, etag='"1"')
    assert (renamed.status, renamed.json["name"]) == (200, "c.pdf")
    assert (await writer.patch(path, {"name": "d.pdf"}, etag='"1"')).status == 412
    assert (await writer.delete(path)).status == 204


@pytest.mark.parametrize("kind", ["account", "lead", "attachment", "nonsense"])
async def test_nothing_is_attached_to_what_is_not_there(client: Client, kind: str) -> None:
    assert (await client.post(path_of(kind, new_id()), body=PDF)).status == 404


async def test_an_empty_body_or_form_is_told(client: Client, account: Any) -> None:
    assert (await client.post(path_of("account", account.id), body=b"")).problem == "invalid-request"
    form = aiohttp.FormData({"other": "x"}, default_to_multipart=True)
    assert (await client.post(path_of("account", account.id), body=form)).problem == "invalid-request"


async def test_the_attachments_of_a_record_are_paged(client: Client, account: Any) -> None:
    made = [await attached(client, "account", account.id, name=f"{number}.pdf") for number in range(5)]
    path, seen = f"{FILES}?regarding={account.id}&limit=2", []
    page = (await client.get(path)).json
    while True:
        seen += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        page = (await client.get(f"{path}&after={quote(page['next'])}")).json
    assert seen == [one["name"] for one in reversed(made)]


async def test_a_task_that_was_just_made_takes_a_file(client: Client) -> None:
    task = (await client.post("/api/v1/tasks", {"subject": "Send the offer"})).json
    made = await attached(client, "task", task["id"], name="offer.pdf")
    assert made["regarding"] == {"type": "task", "id": task["id"], "name": "Send the offer", "deleted": False}
    listed = await client.get(f"{FILES}?regarding={task['id']}&regarding_type=task")
    assert [one["id"] for one in listed.json["items"]] == [made["id"]]


async def test_other_slices_attach_files(uow: UnitOfWork) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"BEGIN:VCALENDAR"

    task = await create_task(uow, TaskCreate(subject="Call Ada"))
    made = await attach(uow, task, stream(), "invite.ics", media_type="text/calendar", content_id="a@b", inline=True)
    assert (made.name, made.size, made.inline, made.content_id) == ("invite.ics", 15, True, "a@b")
    assert made.media_type == "text/calendar"
    assert emitted(uow) == ["crm.activities.task.created.v1", "crm.activities.attachment.created.v1"]
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["record"]["regarding"]["name"] == "Call Ada"


async def test_files_go_with_their_record_and_follow_a_merge(
    client: Client,
    account: Any,
    story: Any,
    hear: Any,
    runtime: Runtime,
    rows: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = story(owner=ME)
    await hear(other.tell(AccountCreated, {"name": "Looms Ltd", "status": "active"}))
    await attached(client, "account", other.id)
    await hear(other.tell(AccountMerged, survivor_id=str(account.id)))
    assert await rows("select regarding_id, version from attachment") == [(account.id, 2)]
    await hear(account.tell(AccountDeleted))
    await passed(runtime, monkeypatch)
    assert await rows("select * from attachment") == []
    assert await rows("select * from stored_file") == []
    await passed(runtime, monkeypatch, GRACE + timedelta(seconds=1))
    assert await rows("select * from erasure_task") == []


async def test_a_lost_file_and_a_missing_storage_are_told(
    client: Client, account: Any, runtime: Runtime, rows: Any
) -> None:
    made = await attached(client, "account", account.id)
    [(file_id,)] = await rows("select file_key from attachment")
    await storage_of(runtime).delete(key_of(file_id))
    for method in ("GET", "HEAD"):
        assert (await content(client, made, method)).status == 404
    storage = runtime.extras.pop("files")
    runtime.extras["activities"] = ActivitiesSettings.model_validate({"CRM_FILES_URL": ""})
    try:
        answer = await client.post(path_of("account", account.id), body=PDF)
        assert (answer.status, answer.problem) == (503, "unavailable")
    finally:
        runtime.extras["files"] = storage
        del runtime.extras["activities"]
