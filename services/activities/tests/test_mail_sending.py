"""The queue of mails and a real SMTP server: what is known after each way in which an attempt can end."""

import asyncio
import email as mails
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email import policy as email_policy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from crm_activities.attachment.commands import attach
from crm_activities.email.model import Email
from crm_activities.inbound_mail.reports import apply_report
from crm_activities.mail.automatic import queue_automatic
from crm_activities.mail.outgoing import claim_mail, enter_data
from crm_activities.mail.parts import MAIL_FILE_BYTES
from crm_activities.mail.reading.reader import read_mail
from crm_activities.mail.senders import read_senders
from crm_activities.mail.sending import LEASE, MailLoop
from crm_contracts.access import Privilege
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, announced, principal
from crm_kit.testing.people import HEADQUARTERS
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

from .mail_server import MailServer, mail_server
from .mails import mail

EMAILS = "/api/v1/emails"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.fixture(autouse=True)
def _no_sender_is_left(runtime: Runtime) -> Iterator[None]:
    yield
    runtime.extras.pop("mail_senders", None)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


def use(runtime: Runtime, url: str, **more: str) -> None:
    """Send by the server at this URL."""
    fields = "".join(f', "{name}": "{value}"' for name, value in more.items())
    setting = f'[{{"address": "sales@example.org", "name": "Sales", "server": "{url}"{fields}}}]'
    runtime.extras["mail_senders"] = read_senders({"CRM_MAIL_SENDERS": setting})


@pytest.fixture
def loop(runtime: Runtime, server: MailServer) -> MailLoop:
    use(runtime, f"smtp://127.0.0.1:{server.port}?tls=none", bounces="bounces+{id}@example.org")
    return MailLoop(runtime)


async def queued(client: Client, *to: str, **fields: Any) -> str:
    parties = [{"role": "to", "address": address} for address in to or (ADA,)]
    made = await client.post(EMAILS, {"subject": "Card", "text": "Hello", "parties": parties, **fields})
    assert made.status == 201, made.body
    sent = await client.post(f"{EMAILS}/{made.json['id']}/send")
    assert sent.status == 200, sent.body
    found: str = made.json["id"]
    return found


async def now(client: Client, email_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{EMAILS}/{email_id}")).json
    return found


async def facts(runtime: Runtime, email_id: str) -> list[str]:
    async with runtime.db.autocommit() as conn:
        return [event["type"].split(".")[3] for event in await announced(conn) if event["subject"] == email_id]


async def later(runtime: Runtime, by: timedelta = timedelta(days=1)) -> None:
    """Let the time pass for which queued mails wait, or belong to a worker."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update outgoing_mail set due_at = due_at - $1::interval", (by,))


async def test_a_mail_is_sent_once_and_says_so(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    email_id = await queued(
        client,
        ADA,
        html="<p>Hello</p>",
        parties=[
            {"role": "to", "address": ADA, "name": "Doe, Jöhn"},
            {"role": "bcc", "address": BOB},
        ],
    )
    assert await loop.send_due() == 1
    assert await loop.send_due() == 0
    after = await now(client, email_id)
    assert (after["status_reason"], after["delivery"], after["attempts"], after["undelivered"]) == (
        "sent",
        "sent",
        1,
        [],
    )
    assert after["sent_at"] == after["completed_at"] is not None
    assert await facts(runtime, email_id) == ["created", "queued", "sent"]
    [envelope] = server.stored
    assert (envelope.mail_from, envelope.rcpt_tos) == (f"bounces+{UUID(email_id).hex}@example.org", [ADA, BOB])
    message: Any = mails.message_from_bytes(server.contents[0], policy=email_policy.default)
    assert (message["From"], message["To"], message["Bcc"]) == (
        "Sales <sales@example.org>",
        f'"Doe, Jöhn" <{ADA}>',
        None,
    )
    assert message["Message-ID"] == after["message_id"]


async def test_a_mail_whose_answer_was_lost_is_sent_again_only_by_word(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    # ACT-20: the server took the mail and dropped the connection before its answer.
    server.drop = "data"
    email_id = await queued(client)
    for _ in range(3):
        await loop.send_due()
        await later(runtime)
    after = await now(client, email_id)
    assert (len(server.stored), after["status_reason"], after["delivery"]) == (1, "pending_send", "uncertain")
    assert (after["attempts"], after["delivery_phase"]) == (1, "data")
    assert await facts(runtime, email_id) == ["created", "queued", "uncertain"]
    refused = await client.post(f"{EMAILS}/{email_id}/send")
    assert (refused.status, refused.problem) == (409, "delivery-uncertain")
    server.drop = None
    assert (await client.post(f"{EMAILS}/{email_id}/send", {"confirm": True})).status == 200
    await loop.send_due()
    assert (await now(client, email_id))["delivery"] == "sent"
    first, second = (mails.message_from_bytes(one) for one in server.contents)
    assert first["Message-ID"] == second["Message-ID"] == after["message_id"]


async def test_a_connection_that_ends_before_the_content_is_tried_again(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    server.drop = "rcpt"
    email_id = await queued(client)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["status_reason"], after["delivery"], after["delivery_phase"]) == (
        "pending_send",
        "queued",
        "envelope",
    )
    server.drop = None
    assert await loop.send_due() == 0
    await later(runtime)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["delivery"], after["attempts"], len(server.stored)) == ("sent", 2, 1)
    assert await facts(runtime, email_id) == ["created", "queued", "deferred", "sent"]


@pytest.mark.parametrize("where", ["mail", "data"])
async def test_what_is_put_off_waits_and_what_is_refused_fails(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer, where: str
) -> None:
    setattr(server, where, "451 4.7.1 try again later")
    email_id = await queued(client)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["delivery"], after["delivery_answer"]) == ("queued", "451 4.7.1 try again later")
    setattr(server, where, "554 5.7.1 unwanted")
    await later(runtime)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["status"], after["status_reason"], after["delivery"], after["attempts"]) == (
        "open",
        "failed",
        "failed",
        2,
    )
    assert (after["delivery_answer"], after["completed_at"]) == ("554 5.7.1 unwanted", None)
    assert after["undelivered"] == [{"address": ADA, "answer": "554 5.7.1 unwanted"}]
    assert server.stored == []


async def test_a_refused_recipient_fails_after_one_attempt(client: Client, loop: MailLoop, server: MailServer) -> None:
    server.recipients[ADA] = "550 5.1.1 no such user"
    email_id = await queued(client)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["status_reason"], after["attempts"], after["delivery_phase"]) == ("failed", 1, "envelope")
    # The address is put right, and the mail is sent.
    patched = await client.patch(
        f"{EMAILS}/{email_id}", {"parties": [{"role": "to", "address": BOB}]}, headers={"if-match": "*"}
    )
    assert patched.status == 200
    assert (await client.post(f"{EMAILS}/{email_id}/send")).status == 200
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["delivery"], after["undelivered"], server.stored[0].rcpt_tos) == ("sent", [], [BOB])


async def test_each_recipient_gets_one_mail_whatever_happens_to_the_others(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    server.recipients |= {BOB: "450 4.2.0 greylisted", "c@example.org": "550 5.1.1 no such user"}
    email_id = await queued(client, ADA, BOB, "c@example.org")
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["status_reason"], after["delivery"], after["sent_at"] is not None) == ("pending_send", "queued", True)
    assert [one["address"] for one in after["undelivered"]] == ["c@example.org"]
    del server.recipients[BOB]
    await later(runtime)
    await loop.send_due()
    after = await now(client, email_id)
    assert (after["status_reason"], after["attempts"]) == ("sent", 2)
    assert [one.rcpt_tos for one in server.stored] == [[ADA], [BOB]]


@pytest.mark.parametrize("answer", ["250 OK", "550 5.1.1 no such user"])
async def test_a_bounce_leaves_those_who_still_wait_in_the_queue(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer, answer: str
) -> None:
    server.recipients[BOB] = "450 4.2.0 greylisted"
    email_id = await queued(client, ADA, BOB)
    await loop.send_due()
    returned = mail(
        "From: Mail Delivery <mailer-daemon@example.org>",
        "Subject: Mail delivery failed",
        f"X-Failed-Recipients: {ADA}",
        body="The following address failed:\r\n ada@example.org: 550 5.1.1 gone\r\n",
    )
    async with runtime.db.begin() as conn:
        uow = UnitOfWork.for_timer(conn, runtime)
        found = await apply_report(uow, read_mail(returned), [server.stored[0].mail_from or ""])
        assert found is not None
        await uow.flush()
    after = await now(client, email_id)
    assert (after["status_reason"], after["delivery"]) == ("pending_send", "bounced")
    server.recipients[BOB] = answer
    await later(runtime)
    assert await loop.send_due() == 1
    after = await now(client, email_id)
    refused = [ADA] if answer.startswith("250") else [ADA, BOB]
    assert (after["status_reason"], after["delivery"], after["attempts"]) == ("sent", "bounced", 2)
    assert [one["address"] for one in after["undelivered"]] == refused
    async with runtime.db.autocommit() as conn:
        assert (await conn.exec_driver_sql("select count(*) from outgoing_mail")).scalar_one() == 0


async def test_a_server_that_cannot_be_reached_is_tried_again(
    client: Client, runtime: Runtime, server: MailServer
) -> None:
    use(runtime, "smtp://127.0.0.1:1?tls=none")
    email_id = await queued(client)
    await MailLoop(runtime).send_due()
    after = await now(client, email_id)
    assert (after["delivery"], after["delivery_phase"], after["attempts"]) == ("queued", "connect", 1)
    await later(runtime)
    use(runtime, f"smtp://127.0.0.1:{server.port}?tls=none")
    await MailLoop(runtime).send_due()
    assert (await now(client, email_id))["delivery"] == "sent"


async def test_after_four_days_a_mail_fails(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    server.mail = "451 later"
    email_id = await queued(client)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update outgoing_mail set queued_at = queued_at - interval '4 days'")
    await loop.send_due()
    assert (await now(client, email_id))["status_reason"] == "failed"


async def test_a_worker_that_is_killed_leaves_what_is_true(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    before, during = await queued(client), await queued(client)
    async with runtime.db.begin() as conn:
        first = await claim_mail(conn, clock.now(), LEASE)
        second = await claim_mail(conn, clock.now(), LEASE)
        assert first is not None
        assert second is not None
        assert await enter_data(conn, second)
    assert await loop.send_due() == 0
    await later(runtime, LEASE)
    await loop.send_due()
    assert (str(first.email_id), str(second.email_id)) == (before, during)
    assert [(await now(client, one))["delivery"] for one in (before, during)] == ["sent", "uncertain"]
    assert (await now(client, during))["attempts"] == 1
    assert len(server.stored) == 1
    # The worker was only slow. It may not send any more.
    async with runtime.db.begin() as conn:
        assert not await enter_data(conn, first)


async def test_many_workers_send_each_mail_once(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    ids = [await queued(client) for _ in range(24)]
    await asyncio.gather(*(MailLoop(runtime).send_due() for _ in range(3)), loop.send_due())
    sent = sorted(mails.message_from_bytes(one)["Message-ID"] for one in server.contents)
    assert len(set(sent)) == len(sent) == len(ids)
    # A lane keeps its connection for the next mail.
    assert len(server.sessions) < len(ids)


async def test_a_mail_that_is_deleted_meanwhile_hurts_nobody(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    email_id = await queued(client)

    async def delete() -> None:
        assert (await client.delete(f"{EMAILS}/{email_id}", headers={"if-match": "*"})).status == 204

    server.while_in_data = delete
    assert await loop.send_due() == 1
    assert (await client.get(f"{EMAILS}/{email_id}")).status == 404


async def test_texts_of_records_add_no_header_and_no_recipient(
    runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    # ACT-22
    uow = UnitOfWork(runtime, principal(id=ME), Cause("a test"))
    await queue_automatic(
        uow,
        to=[(ADA, "A\nBcc: x@y.org")],
        subject="Hi\r\nBcc: x@y.org",
        text="Hello",
        owner=("user", ME, HEADQUARTERS),
        calendar="BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n",
    )
    await uow.commit()
    await uow.close()
    await loop.send_due()
    [envelope] = server.stored
    message: Any = mails.message_from_bytes(server.contents[0], policy=email_policy.default)
    assert (envelope.rcpt_tos, message["Bcc"], message["Subject"]) == ([ADA], None, "Hi Bcc: x@y.org")
    assert b"\nBcc:" not in server.contents[0]
    assert message["Auto-Submitted"] == "auto-generated"
    calendar: Any = message.get_payload()[-1]
    assert (calendar.get_content_type(), calendar.get_param("method")) == ("text/calendar", "REQUEST")


async def test_files_of_a_mail_go_along(client: Client, runtime: Runtime, loop: MailLoop, server: MailServer) -> None:
    made = await client.post(
        EMAILS, {"subject": "x", "html": '<img src="cid:logo@x">', "parties": [{"role": "to", "address": ADA}]}
    )
    uow = UnitOfWork(runtime, principal(id=ME), Cause("a test"))
    email = await uow.get(Email, UUID(made.json["id"]), Privilege.WRITE)
    for name, content, content_id in (("a.png", b"\x89PNG\r\n\x1a\n", "logo@x"), ("b.txt", b"hello", None)):
        await attach(uow, email, _stream(content), name, content_id=content_id)
    await uow.commit()
    await uow.close()
    assert (await client.post(f"{EMAILS}/{made.json['id']}/send")).status == 200
    await loop.send_due()
    message: Any = mails.message_from_bytes(server.contents[0], policy=email_policy.default)
    related, text = message.get_payload()
    image = related.get_payload()[1]
    assert (image["Content-ID"], image.get_filename(), image.get_content()) == (
        "<logo@x>",
        "a.png",
        b"\x89PNG\r\n\x1a\n",
    )
    assert (text.get_filename(), text.get_content()) == ("b.txt", b"hello") or text.get_content().strip() == "hello"


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_more_than_a_server_takes_is_not_queued(client: Client, runtime: Runtime) -> None:
    made = await client.post(EMAILS, {"subject": "x", "parties": [{"role": "to", "address": ADA}]})
    uow = UnitOfWork(runtime, principal(id=ME), Cause("a test"))
    email = await uow.get(Email, UUID(made.json["id"]), Privilege.WRITE)
    await attach(uow, email, _stream(b"x" * (MAIL_FILE_BYTES + 1)), "a.bin")
    await uow.commit()
    await uow.close()
    refused = await client.post(f"{EMAILS}/{made.json['id']}/send")
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, "mail-too-large")


async def test_an_automatic_answer_has_no_sender_in_its_envelope(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    email_id = await queued(client)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update outgoing_mail set null_sender = true")
    await loop.send_due()
    assert (server.stored[0].mail_from, (await now(client, email_id))["delivery"]) == ("<>", "sent")


async def test_addresses_of_every_script_need_a_server_that_takes_them(client: Client, runtime: Runtime) -> None:
    async with mail_server(utf8=False) as old:
        use(runtime, f"smtp://127.0.0.1:{old.port}?tls=none")
        email_id = await queued(client, "用户@例子.公司")
        domain = await queued(client, "ada@bücher.example")
        await MailLoop(runtime).send_due()
        after = await now(client, email_id)
        assert (after["status_reason"], "SMTPUTF8" in after["delivery_answer"]) == ("failed", True)
        assert [one.rcpt_tos for one in old.stored] == [["ada@xn--bcher-kva.example"]]
        assert (await now(client, domain))["delivery"] == "sent"
    async with mail_server() as new:
        use(runtime, f"smtp://127.0.0.1:{new.port}?tls=none")
        assert (await client.post(f"{EMAILS}/{email_id}/send")).status == 200
        await MailLoop(runtime).send_due()
        assert new.stored[0].rcpt_tos == ["用户@xn--fsqu00a.xn--55qx5d"]
        assert "用户@".encode() in new.contents[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key of a certificate for this machine, which is beside it."""
    place: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(place), "-out", f"{place}.crt"]
    subprocess.run([*made, *more], check=True, capture_output=True)
    return place


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("password", ["p%40ss", "wrong"])
async def test_mails_go_by_tls_after_a_log_in(
    client: Client, runtime: Runtime, certificate: Path, implicit: bool, password: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", str(certificate))
    async with mail_server(tls=context, implicit=implicit, auth=True) as secured:
        scheme = "smtps" if implicit else "smtp"
        use(runtime, f"{scheme}://user:{password}@127.0.0.1:{secured.port}?ca={certificate}.crt")
        email_id = await queued(client)
        await MailLoop(runtime).send_due()
        after = await now(client, email_id)
        expected = ("sent", "data") if password != "wrong" else ("queued", "login")
        assert (after["delivery"], after["delivery_phase"]) == expected, after["delivery_answer"]


async def test_a_server_that_is_not_known_gets_no_password(client: Client, runtime: Runtime, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", str(certificate))
    async with mail_server(tls=context, auth=True) as secured:
        use(runtime, f"smtp://user:p%40ss@127.0.0.1:{secured.port}")
        email_id = await queued(client)
        await MailLoop(runtime).send_due()
        after = await now(client, email_id)
        assert (after["delivery"], after["delivery_phase"], secured.stored) == ("queued", "connect", [])


async def test_without_a_sender_mails_wait(client: Client, runtime: Runtime) -> None:
    runtime.extras["mail_senders"] = read_senders({})
    email_id = await queued(client)
    loop = MailLoop(runtime)
    running = asyncio.create_task(loop.run())
    await loop._look()
    loop.stop()
    await running
    assert (await now(client, email_id))["attempts"] == 0


async def test_a_queued_mail_wakes_the_worker(
    client: Client, runtime: Runtime, loop: MailLoop, server: MailServer
) -> None:
    arrived = asyncio.Event()

    async def arrive() -> None:
        arrived.set()

    server.while_in_data = arrive
    running = asyncio.create_task(loop.run())
    email_id = await queued(client)
    async with asyncio.timeout(60):
        await arrived.wait()
    loop.stop()
    await running
    assert ((await now(client, email_id))["delivery"], len(server.stored)) == ("sent", 1)
