"""Letters and faxes, which differ only in where they go: states, commands, documents, access, lists."""

import io
from contextlib import nullcontext
from itertools import product
from typing import Any
from uuid import UUID

import pypdf
import pytest

from crm_activities.document.domain import JAPANESE, KOREAN, SIMPLIFIED, TRADITIONAL, Page, filled, runs, wide_font
from crm_activities.document.pdf import pdf_of
from crm_activities.fax.domain import LIFECYCLE as FAX
from crm_activities.letter.domain import LIFECYCLE as LETTER
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import IllegalTransition
from crm_kit.lifecycle import Lifecycle
from crm_kit.testing import Client, principal

ME = UUID("01900000-0000-7000-8000-0000000000ad")
KINDS = ["letters", "faxes"]
PLACE: dict[str, dict[str, Any]] = {
    "letters": {"address": {"line1": "Main Street 1", "postal_code": "1010", "city": "Wien", "country": "AT"}},
    "faxes": {"fax_number": "+43 1 5550100", "cover_page": "Für {recipient}."},
}
ADA = {"role": "to", "address": "Main Street 1", "name": "Ada Lovelace"}


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.mark.parametrize(
    ("lifecycle", "action", "state"), [(one, *pair) for one in (LETTER, FAX) for pair in product(one.moves, one.states)]
)
def test_each_lifecycle_follows_its_table(lifecycle: Lifecycle, action: str, state: str) -> None:
    allowed = action in lifecycle.actions(state)
    with nullcontext() if allowed else pytest.raises(IllegalTransition):
        lifecycle.after(action, state)


def test_placeholders_are_filled_once() -> None:
    values = {"recipient": "{date}", "date": "2026-05-04"}
    assert filled("Dear {recipient}, {date} {other} {", values) == "Dear {date}, 2026-05-04 {other} {"


@pytest.mark.parametrize(
    ("text", "font"),
    [
        ("お見積り 漢字", JAPANESE),
        ("안녕하세요 漢字", KOREAN),
        ("报价单", SIMPLIFIED),
        ("報價單", TRADITIONAL),
        ("Grüße", SIMPLIFIED),
    ],
)
def test_a_text_gets_the_font_of_its_language(text: str, font: str) -> None:
    assert wide_font(text) == font


def test_characters_are_set_in_the_font_that_has_them() -> None:
    assert list(runs("Hi 見積 x", str.isascii)) == [(True, "Hi "), (False, "見積 "), (True, "x")]


def text_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


@pytest.mark.parametrize(
    "text", ["お見積りをお送りします。", "附上报价单。", "附上報價單。", "안녕하세요", "Привет, Grüße & <b>"]
)
def test_a_document_has_the_text_of_any_language(text: str) -> None:
    page = Page("Engines Ltd", ("Ada", "Wien"), "2026-05-04", "Offer", text, wide=wide_font(text))
    [printed] = text_of(pdf_of(page))
    for part in ("Engines Ltd", "Ada", "2026-05-04", "Offer", text):
        assert part in printed
    assert pdf_of(page) == pdf_of(page)


async def made(client: Client, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/{kind}", {"subject": "見積 <1>", "parties": [ADA], **PLACE[kind], **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_written_printed_and_sent(client: Client, kind: str, rows: Any) -> None:
    record = await made(client, kind, description="Dear {recipient},\nwe thank you.")
    path = f"/api/v1/{kind}/{record['id']}"
    assert (record["status_reason"], record["document_id"]) == ("open", None)
    assert (await client.post(f"{path}/draft")).json["status_reason"] == "draft"
    first, second = [(await client.post(f"{path}/document", body)).json for body in (None, {"paper": "letter"})]
    assert first["document_id"] != second["document_id"]
    listed = f"/api/v1/attachments?regarding={record['id']}&regarding_type={record_type(kind)}"
    files = (await client.get(listed)).json
    assert [one["id"] for one in files["items"]] == [second["document_id"]]
    file = await client.get(f"/api/v1/attachments/{second['document_id']}/content")
    assert file.headers["content-type"] == "application/pdf"
    pages = text_of(file.body)
    assert len(pages) == (2 if kind == "faxes" else 1)
    for part in ("Dear Ada Lovelace,", "見積 <1>", "1010 Wien" if kind == "letters" else "+4315550100"):
        assert part in "\n".join(pages)
    sent = (await client.post(f"{path}/complete")).json
    assert (sent["status"], sent["status_reason"]) == ("completed", "sent")
    assert (await client.post(f"{path}/document")).problem == "illegal-transition"
    assert (await client.patch(path, {"subject": "x"})).status == 409
    reopened = (await client.post(f"{path}/reopen")).json
    assert (reopened["status"], reopened["completed_at"]) == ("open", None)
    received = (await client.post(f"{path}/complete", {"reason": "received"})).json
    assert received["status_reason"] == "received"
    assert (await client.delete(path)).status == 204


@pytest.mark.parametrize("kind", KINDS)
async def test_a_document_needs_a_text(client: Client, kind: str) -> None:
    record = await made(client, kind)
    answer = await client.post(f"/api/v1/{kind}/{record['id']}/document")
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "text-required")


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_found_moved_and_hidden(client: Client, client_for: Any, kind: str) -> None:
    record = await made(client, kind, direction="incoming", due_at="2096-12-01T09:00:00Z")
    path = f"/api/v1/{kind}/{record['id']}"
    for query in ("q=lovelace", "direction=incoming", "status=open&sort=-due_at"):
        assert [one["id"] for one in (await client.get(f"/api/v1/{kind}?{query}")).json["items"]] == [record["id"]]
    listed = (await client.get("/api/v1/activities?q=lovelace")).json["items"]
    assert [(one["type"], one["id"]) for one in listed] == [(record_type(kind), record["id"])]
    moved = (await client.post(f"{path}/reschedule", {"due_at": "2096-12-02T09:00:00Z"})).json
    assert moved["due_at"] == "2096-12-02T09:00:00Z"
    assert (await client.post(f"{path}/snooze", {"until": "2096-12-01T08:00:00Z"})).status == 200
    assert (await client.patch(path, {"parties": []})).json["parties"] == []
    assert (await client_for(principal(depth=Depth.USER)).get(path)).status == 404
    canceled = (await client.post(f"{path}/cancel")).json
    assert canceled["status"] == "canceled"


def record_type(kind: str) -> str:
    return {"letters": "letter", "faxes": "fax"}[kind]


async def test_a_wrong_number_is_told(client: Client) -> None:
    answer = await client.post("/api/v1/faxes", {"subject": "x", "fax_number": "12"})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/fax_number")
