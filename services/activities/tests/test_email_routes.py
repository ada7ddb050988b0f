"""E-mails over HTTP: shapes, bodies, problems, conditions, lists, statement counts, and mails that arrive at once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from crm_activities.mail.receiving import ReceivedMail, receive
from crm_activities.mail.senders import read_senders
from crm_contracts.sales.contact import ContactCreated
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted, principal
from crm_kit.testing.people import HEADQUARTERS
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

EMAILS = "/api/v1/emails"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
TO_ADA = {"role": "to", "address": "ada@example.org"}
SENDERS = '[{"address": "sales@example.org", "server": "smtp://localhost:1?tls=none"}]'


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post(EMAILS, {"subject": "Your card", **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def test_a_draft_can_be_read_where_it_says_and_its_body_below(client: Client, story: Any, hear: Any) -> None:
    ada = story(owner=ME)
    await hear(ada.tell(ContactCreated, {"full_name": "Ada Lovelace", "status": "active"}))
    party = {"type": "contact", "id": str(ada.id)}
    html = '<p>Dear Ada<img src="https://e.example/1.gif"></p>'
    answer = await client.post(EMAILS, {"subject": " Your card ", "html": html, "parties": [TO_ADA | {"party": party}]})
    assert (answer.status, answer.etag) == (201, '"1"')
    email = answer.json
    assert (email["subject"], email["preview"], email["status_reason"]) == ("Your card", "Dear Ada", "draft")
    assert email["parties"] == [
        {
            "role": "to",
            "party": {**party, "name": "Ada Lovelace", "deleted": False},
            "address": "ada@example.org",
            "name": "Ada Lovelace",
        }
    ]
    assert (await client.get(answer.headers["location"])).json == email
    body = (await client.get(f"{EMAILS}/{email['id']}/body")).json
    assert ("data-blocked-src" in body["html"], body["remote_images"], body["text"]) == (True, False, "Dear Ada")
    whole = (await client.get(f"{EMAILS}/{email['id']}/body?remote_images=true")).json
    assert ('src="https://e.example/1.gif"' in whole["html"], whole["remote_images"]) == (True, True)
    timeline = (await client.get(f"/api/v1/timeline?regarding={ada.id}")).json["items"]
    assert email["id"] in [item["id"] for item in timeline]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/subject", "missing"),
        ({"subject": "Hi\r\nBcc: x@example.com"}, "/subject", "control-characters"),
        ({"subject": "x", "sender": "a@b.org\r\nBcc: x@example.com"}, "/sender", None),
        ({"subject": "x", "parties": [TO_ADA | {"name": "A\nBcc: x@y"}]}, "/parties/0/name", "control-characters"),
        ({"subject": "x", "parties": [TO_ADA | {"address": "a@b.org\nBcc: x@y.org"}]}, "/parties/0/address", None),
        ({"subject": "x", "parties": [{"role": "to"}]}, "/parties/0/address", "missing"),
        ({"subject": "x", "parties": [TO_ADA | {"role": "from"}]}, "/parties/0/role", None),
        ({"subject": "x", "html": "a\0b"}, "/html", None),
        ({"subject": "x", "text": "y" * 300_001}, "/text", None),
        ({"subject": "x", "message_id": "<a@b>"}, "/message_id", None),
        ({"subject": "x", "status_reason": "sent"}, "/status_reason", "read-only-field"),
        ({"subject": "x", "sender": "else@example.org"}, "/sender", "unknown-sender"),
        ({"subject": "x", "reply_to_id": str(ME)}, "/reply_to_id", "unknown-reference"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, runtime: Runtime, body: Any, pointer: str, code: str | None
) -> None:
    runtime.extras["mail_senders"] = read_senders({"CRM_MAIL_SENDERS": SENDERS})
    try:
        answer = await client.post(EMAILS, body)
    finally:
        del runtime.extras["mail_senders"]
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


async def test_sending_says_what_is_missing(client: Client) -> None:
    email = await made(client)
    refused = await client.post(f"{EMAILS}/{email['id']}/send")
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, "recipient-required")
    place = f"{EMAILS}/{email['id']}"
    assert (await client.patch(place, {"parties": [TO_ADA]}, headers={"if-match": "*"})).status == 200
    sent = await client.post(f"{place}/send", headers={"idempotency-key": "once"})
    assert (sent.status, sent.json["status_reason"], sent.json["delivery"]) == (200, "pending_send", "queued")
    assert (await client.post(f"{place}/send", headers={"idempotency-key": "once"})).json == sent.json
    again = await client.post(f"{place}/send", {"confirm": True})
    assert (again.status, again.problem) == (409, "illegal-transition")


async def test_who_may_not_read_a_mail_does_not_read_its_body(client: Client, client_for: Any) -> None:
    email = await made(client, text="secret")
    other = client_for(principal(Depth.USER))
    for path in ("", "/body"):
        assert (await other.get(f"{EMAILS}/{email['id']}{path}")).status == 404
    assert (await client.get(f"{EMAILS}/{ME}/body")).status == 404


async def test_lists_leave_bodies_out_and_find_conversations(client: Client, runtime: Runtime) -> None:
    first = await made(client, text="a long story about otters", parties=[TO_ADA])
    await made(client)
    answer = await made(client, reply_to_id=first["id"])
    page = (await client.get(f"{EMAILS}?thread_id={first['thread_id']}&sort=created_at&count=exact")).json
    assert ([item["id"] for item in page["items"]], page["count"]) == ([first["id"], answer["id"]], 2)
    assert {"html", "text", "reply_text"} & page["items"][0].keys() == set()
    for word in ("otters", "ada@example.org"):
        found = (await client.get(f"{EMAILS}?q={word}")).json["items"]
        assert [item["id"] for item in found] == [first["id"]]
    with counted(runtime.db) as statements:
        await client.get(f"{EMAILS}?sort=-received_at")
    assert len(statements) <= 3


async def test_mails_that_arrive_at_once_are_stored_once_and_in_one_conversation(runtime: Runtime, rows: Any) -> None:
    async def one(number: int, mailbox: str) -> None:
        uow = UnitOfWork(runtime, principal(id=ME), Cause("a test"))
        mail = ReceivedMail(
            message_id=f"<{number}@c>",
            mailbox=mailbox,
            received_at=clock.now(),
            # Each names two neighbours, so that conversations are joined while mails join them.
            references=[f"<{number - 1}@c>", f"<{number + 1}@c>"],
            owner=("user", ME, HEADQUARTERS),
        )
        try:
            await receive(uow, mail)
            await uow.commit()
        finally:
            await uow.close()

    numbers = [*range(1, 12, 2), *range(2, 12, 2)]
    await asyncio.gather(*(one(number, box) for number in numbers for box in ("sales", "support")))
    found = await rows("select message_id, mailboxes, thread_id from email")
    assert len(found) == len(numbers)
    assert {len(boxes) for _, boxes, _ in found} == {2}
    assert len({thread for _, _, thread in found}) == 1
    assert await rows("select count(*) from email_thread") == [(1,)]
