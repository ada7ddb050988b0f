"""Stored mail becomes e-mails: in conversations, once each, with what bounces and complaints say. Nothing stops the next mail."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from crm_activities.inbound_mail import reading
from crm_activities.inbound_mail.keeping import forget_sources
from crm_activities.inbound_mail.settings import InboundSettings
from crm_activities.inbound_mail.storing import Arrival, store
from crm_activities.mail.receiving import Receipt, ReceivedMail, receive
from crm_activities.mail.senders import Sender, Senders, server_of
from crm_activities.settings import ActivitiesSettings
from crm_activities.worker import TIMERS
from crm_contracts.access import Depth
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, People
from crm_kit.testing.people import principal
from crm_kit.work.uow import UnitOfWork

from .mails import mail, multipart, part

SALES, SUPPORT = "sales@us.example", "support@us.example"

Arrive = Callable[..., Awaitable[None]]
Rows = Callable[..., Awaitable[list[tuple[Any, ...]]]]
EMAILS = "select message_id, direction, delivery, automatic, mailboxes, subject from email order by created_at, id"
MAILS = "select mailbox, status, status_reason from inbound_mail order by created_at, id"


@pytest.fixture
async def arrive(runtime: Runtime, people: People) -> Arrive:
    """Store mails and read them as the worker does."""
    await people.user("Ada", email="ada@us.example")
    runtime.extras["mail_senders"] = Senders(
        senders=(
            Sender(address=SALES, server=server_of("smtp://127.0.0.1:1?tls=none"), bounces="bounces+{id}@us.example"),
        )
    )

    async def take(*mails: bytes, mailbox: str = SALES) -> None:
        async with runtime.db.begin() as conn:
            await store(conn, runtime, [Arrival([mailbox], one, clock.now()) for one in mails])
        await TimerLoop(TIMERS, runtime).fire_due()

    return take


async def sent(client: Client, rows: Rows, subject: str = "Offer") -> tuple[str, str]:
    """A mail of ours that a server took before its worker could say so: its id and its Message-ID."""
    draft = await client.post(
        "/api/v1/emails",
        {"subject": subject, "text": "hello", "parties": [{"role": "to", "address": "ada@example.com"}]},
    )
    assert draft.status == 201, draft.body
    answer = await client.post(f"/api/v1/emails/{draft.json['id']}/send", {})
    assert answer.status == 200, answer.body
    assert await rows("delete from outgoing_mail where email_id = $1 returning email_id", UUID(draft.json["id"]))
    [(message_id,)] = await rows("select message_id from email where id = $1", UUID(draft.json["id"]))
    return draft.json["id"], message_id


async def test_a_mail_becomes_an_email_with_what_it_says(arrive: Arrive, client: Client, rows: Rows) -> None:
    said = "Yes.\r\n\r\nOn Mon, 5 Jan 2026, Bob <bob@us.example> wrote:\r\n> The offer.\r\n"
    await arrive(mail("To: Sales <sales@us.example>", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", body=said))
    [found] = (await client.get("/api/v1/emails")).json["items"]
    assert (found["subject"], found["sender"], found["direction"]) == ("Grüße", "ada@example.com", "incoming")
    assert (found["status_reason"], found["mailboxes"], found["preview"]) == ("received", [SALES], "Yes.")
    assert [(one["role"], one["address"], one["name"]) for one in found["parties"]] == [
        *(("from", "ada@example.com", "Ada"), ("to", SALES, "Sales")),
    ]
    body = (await client.get(f"/api/v1/emails/{found['id']}/body")).json
    assert (body["text"], body["reply_text"]) == (said.replace("\r\n", "\n"), "Yes.")
    [inbound] = (await client.get("/api/v1/inbound-mails")).json["items"]
    assert (inbound["status"], inbound["status_reason"], inbound["email_id"]) == ("read", "email", found["id"])
    [listed] = (await client.get("/api/v1/activities")).json["items"]
    assert listed["allowed_actions"] == found["allowed_actions"] == ["assign"]
    assert await rows("select type from outbox where entity_type = 'email'") == [("crm.activities.email.received.v1",)]


async def test_files_of_a_mail_are_attached_to_its_email(arrive: Arrive, client: Client, rows: Rows) -> None:
    related, shown = multipart(
        "related",
        [part("text/html", '<img src="cid:p1">'), part("image/png", b"\x89PNG\r\n\x1a\n", "Content-ID: <p1>")],
        "rel",
    )
    forwarded = b"Subject: Our offer\r\n\r\n" + b"x" * 3000
    kind, body = multipart(
        "mixed", [related.encode() + b"\r\n\r\n" + shown, part("message/rfc822", forwarded), part("text/x-odd", "")]
    )
    await arrive(mail(kind, body=body))
    await arrive(mail(kind, body=body), mailbox=SUPPORT)
    [(email_id,)] = await rows("select id from email")
    answer = await client.get(f"/api/v1/attachments?regarding={email_id}&regarding_type=email")
    found = sorted(answer.json["items"], key=lambda one: one["id"])
    assert [(one["name"], one["size"], one["inline"], one["content_id"]) for one in found] == [
        *(
            ("image-1.png", 8, True, "p1"),
            ("Our offer.eml", len(forwarded), False, None),
            ("text-3.bin", 0, False, None),
        ),
    ]
    content = await client.get(f"/api/v1/attachments/{found[1]['id']}/content")
    assert content.body == forwarded


async def test_without_a_storage_a_mail_is_read_without_its_files(
    runtime: Runtime, arrive: Arrive, client: Client
) -> None:
    runtime.extras["activities"] = ActivitiesSettings.model_validate({"CRM_FILES_URL": ""})
    kind, body = multipart("mixed", [part("text/plain", "hi"), part("application/pdf", "x")])
    await arrive(mail(kind, body=body))
    [found] = (await client.get("/api/v1/emails")).json["items"]
    assert found["decode_warnings"] == ["its files were left out, because CRM_FILES_URL is not set"]


async def test_mails_that_name_one_unknown_mail_are_one_conversation(arrive: Arrive, rows: Rows) -> None:
    await arrive(
        mail("Message-ID: <m2@c>", "References: <m1@c>"),
        mail("Message-ID: <m3@c>", "In-Reply-To: <m1@c>", "References: <m1@c>"),
    )
    await arrive(mail("Message-ID: <m1@c>"))
    assert len(await rows("select id from email")) == 3
    assert len(await rows("select distinct thread_id from email")) == 1


async def test_an_answer_to_an_unknown_answer_joins_by_its_references(
    arrive: Arrive, client: Client, rows: Rows
) -> None:
    _, message_id = await sent(client, rows)
    await arrive(mail("Message-ID: <r2@c>", "In-Reply-To: <r1@c>", f"References: {message_id} <r1@c>"))
    assert len(await rows("select distinct thread_id from email")) == 1
    [(answer_id,)] = await rows("select id from email where direction = 'incoming'")
    body = {"subject": "Re", "text": "x", "reply_to_id": str(answer_id), "parties": []}
    answer = (await client.post("/api/v1/emails", body)).json
    assert (answer["in_reply_to"], answer["references"]) == ("<r2@c>", [message_id, "<r1@c>", "<r2@c>"])


async def test_a_mail_to_two_mailboxes_is_one_email_in_either_order(arrive: Arrive, rows: Rows) -> None:
    for number in range(20):
        raw = mail(f"Message-ID: <two{number}@c>", f"To: {SALES}", f"Cc: {SUPPORT}")
        for mailbox in random.sample([SALES, SUPPORT], 2):
            await arrive(f"Delivered-To: {mailbox}\r\n".encode() + raw, mailbox=mailbox)
    found = await rows(EMAILS)
    assert sorted(row[0] for row in found) == sorted(f"<two{number}@c>" for number in range(20))
    assert all(row[4] == [SALES, SUPPORT] for row in found)


async def test_a_mail_of_ours_that_comes_back_makes_nothing(arrive: Arrive, client: Client, rows: Rows) -> None:
    _, message_id = await sent(client, rows)
    await arrive(mail(f"Message-ID: {message_id}", f"From: {SALES}"))
    assert [row[:2] for row in await rows(EMAILS)] == [(message_id, "outgoing")]
    assert await rows(MAILS) == [(SALES, "read", "own")]
    assert await rows("select type from outbox where type like '%email.received%'") == []


def bounced(message_id: str, *fields: str, returned: str = "message/rfc822") -> bytes:
    told = (
        "Reporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; ada@example.com\r\nAction: failed\r\n"
        "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n"
    )
    kind, body = multipart(
        "report",
        [part("message/delivery-status", told), part(returned, f"Message-ID: {message_id}\r\n\r\n")],
        more="; report-type=delivery-status",
    )
    return mail("From: MAILER-DAEMON@example.com", "Message-ID: <b1@mx>", "Return-Path: <>", *fields, kind, body=body)


@pytest.mark.parametrize("by", ["message id", "address"])
async def test_a_bounce_says_so_in_the_mail_that_it_is_about(
    by: str, arrive: Arrive, client: Client, rows: Rows
) -> None:
    email_id, message_id = await sent(client, rows)
    named = f"To: bounces+{UUID(email_id).hex}@us.example"
    raw = bounced("<rewritten@mx>", named) if by == "address" else bounced(message_id)
    await arrive(raw, raw.replace(b"<b1@mx>", b"<b2@mx>"))
    found = (await client.get(f"/api/v1/emails/{email_id}")).json
    assert (found["status_reason"], found["delivery"]) == ("sent", "bounced")
    assert found["undelivered"] == [{"address": "ada@example.com", "answer": "5.1.1 smtp; 550 no such user"}]
    assert len(await rows("select type from outbox where type = 'crm.activities.email.bounced.v1'")) == 1
    # The report itself is stored in the conversation as automatic mail.
    assert [(row[3], row[1]) for row in await rows(EMAILS)] == [
        *(("no", "outgoing"), ("auto_replied", "incoming"), ("auto_replied", "incoming")),
    ]
    assert len(await rows("select distinct thread_id from email")) == 1
    assert {row[2] for row in await rows(MAILS)} == {"bounce"}


async def test_a_complaint_says_so_in_the_mail_that_it_is_about(arrive: Arrive, client: Client, rows: Rows) -> None:
    email_id, message_id = await sent(client, rows)
    kind, body = multipart(
        "report",
        [
            part("message/feedback-report", "Feedback-Type: abuse\r\nVersion: 1\r\n"),
            part("message/rfc822", f"Message-ID: {message_id}\r\n\r\n"),
        ],
        more="; report-type=feedback-report",
    )
    await arrive(mail("From: fbl@example.com", kind, body=body), bounced(message_id))
    assert (await client.get(f"/api/v1/emails/{email_id}")).json["delivery"] == "complained"
    assert len(await rows("select type from outbox where type = 'crm.activities.email.complained.v1'")) == 1


async def test_a_report_about_a_mail_of_somebody_else_changes_nothing(arrive: Arrive, rows: Rows) -> None:
    await arrive(mail("Message-ID: <theirs@c>"))
    await arrive(bounced("<theirs@c>"))
    assert [row[2] for row in await rows(EMAILS)] == ["none", "none"]


async def test_a_mail_that_cannot_be_read_is_kept_and_the_next_one_is_read(
    arrive: Arrive, client: Client, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(uow: UnitOfWork, received: ReceivedMail) -> Receipt:
        receipt = await receive(uow, received)
        if received.message_id == "<bad@c>":
            await uow.execute(text("select 1 / 0"))  # the transaction cannot go on after that
        return receipt

    monkeypatch.setattr(reading, "receive", failing)
    await arrive(mail("Message-ID: <bad@c>"), mail("Message-ID: <good@c>"))
    assert [row[1] for row in await rows(MAILS)] == ["unreadable", "read"]
    assert [row[0] for row in await rows(EMAILS)] == ["<good@c>"]
    monkeypatch.undo()
    [bad] = (await client.get("/api/v1/inbound-mails?status=unreadable")).json["items"]
    assert (bad["problem"], bad["allowed_actions"]) == ("DBAPIError", ["replay", "ignore"])
    assert (await client.post(f"/api/v1/inbound-mails/{bad['id']}/replay", {})).json["status"] == "pending"
    await arrive()
    assert sorted(row[0] for row in await rows(EMAILS)) == ["<bad@c>", "<good@c>"]
    again = await client.post(f"/api/v1/inbound-mails/{bad['id']}/replay", {})
    await arrive()
    assert again.status == 200
    assert len(await rows(EMAILS)) == 2


async def test_a_mail_waits_while_nobody_can_own_it(runtime: Runtime, rows: Rows) -> None:
    async with runtime.db.begin() as conn:
        await store(conn, runtime, [Arrival([SALES], mail(), clock.now())])
    await TimerLoop(TIMERS, runtime).fire_due()
    assert await rows(MAILS) == [(SALES, "pending", "received")]


async def test_odd_bytes_are_read_and_shown(arrive: Arrive, client: Client, rows: Rows) -> None:
    await arrive(
        b"\xff\xfe\x00",
        b"",
        mail(b"From: M\xfcller <m@example.com>", b"Subject: \xf0\x9f\x92\xa9\x00"),
        mail("Message-ID:", "Subject: " + "x" * 5000, "To: " + ", ".join(f"a{n}@x.example" for n in range(600))),
        mail("References: " + " ".join(f"<{n}@c>" for n in range(500)), "Message-ID: <" + "y" * 800 + "@c>"),
    )
    assert {row[1] for row in await rows(MAILS)} == {"read"}
    assert (await client.get("/api/v1/emails")).status == 200
    assert [
        row[0] for row in await rows("select parties -> 0 ->> 'name' from email where sender = 'm@example.com'")
    ] == ["Müller"]


async def test_operators_see_the_mail_as_it_arrived_and_staff_does_not(
    arrive: Arrive, client: Client, client_for: Callable[[Principal], Client], rows: Rows
) -> None:
    raw = mail("Subject: x", body=b"\x00\xff")
    await arrive(raw)
    [found] = (await client.get("/api/v1/inbound-mails")).json["items"]
    source = await client.get(f"/api/v1/inbound-mails/{found['id']}/source")
    assert (source.status, source.body) == (200, raw)
    assert source.headers["content-disposition"].startswith("attachment")
    assert (source.headers["x-content-type-options"], source.headers["content-type"]) == (
        "nosniff",
        "application/octet-stream",
    )
    other = client_for(principal(inbound_mail=Depth.NONE))
    for path in ("", f"/{found['id']}", f"/{found['id']}/source"):
        assert (await other.get(f"/api/v1/inbound-mails{path}")).status == 403
    assert (await other.post(f"/api/v1/inbound-mails/{found['id']}/replay", {})).status == 403
    refused = await client.post(f"/api/v1/inbound-mails/{found['id']}/ignore", {})
    assert (refused.status, refused.json["allowed"]) == (409, ["replay"])


async def test_bytes_go_with_their_email(arrive: Arrive, client: Client, rows: Rows) -> None:
    await arrive(mail("Message-ID: <a@example.com>"))
    await arrive(mail("Message-ID: <a@example.com>"), mailbox=SUPPORT)
    await arrive(mail("Message-ID: <b@example.com>"))
    first, second = sorted((await client.get("/api/v1/emails")).json["items"], key=lambda one: str(one["created_at"]))
    assert len(await rows("select id from inbound_source")) == 3
    answer = await client.delete(f"/api/v1/emails/{first['id']}")
    assert answer.status == 204
    [(source,)] = await rows("select id from inbound_source")
    [(kept,)] = await rows("select email_id from inbound_mail where source = $1", source)
    assert str(kept) == second["id"]
    gone = (await client.get("/api/v1/inbound-mails?sort=created_at")).json["items"][0]
    for refused in (
        await client.get(f"/api/v1/inbound-mails/{gone['id']}/source"),
        await client.post(f"/api/v1/inbound-mails/{gone['id']}/replay", headers={"if-match": "*"}),
    ):
        assert (refused.status, refused.problem) == (409, "source-deleted")


async def test_bytes_are_kept_for_some_days_and_those_of_unread_mails_for_good(
    arrive: Arrive, runtime: Runtime, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await arrive(mail("Message-ID: <a@example.com>"))
    async with runtime.db.begin() as conn:
        await store(conn, runtime, [Arrival([SALES], mail("Message-ID: <b@example.com>"), clock.now())])
    settings = InboundSettings.model_validate({"CRM_MAIL_SOURCE_DAYS": 30})
    later = clock.now() + timedelta(days=30, seconds=1)
    async with runtime.db.begin() as conn:
        assert await forget_sources(conn, settings, later - timedelta(seconds=2)) == 0
        assert await forget_sources(conn, InboundSettings.model_validate({"CRM_MAIL_SOURCE_DAYS": 0}), later) == 0
        assert await forget_sources(conn, settings, later) == 1
    waiting = await rows("select m.status from inbound_mail m join inbound_source s on s.id = m.source")
    assert waiting == [("pending",)]
