"""Mail is stored before anything else: from mailboxes of a real Dovecot, and by SMTP from a real client."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from crm_activities.inbound_mail import cursors
from crm_activities.inbound_mail.imap import Connection, MailboxError, quoted
from crm_activities.inbound_mail.inlet import Inlet
from crm_activities.inbound_mail.polling import Polling
from crm_activities.inbound_mail.settings import (
    BadMailboxes,
    InboundSettings,
    Mailbox,
    read_mailboxes,
    server_of,
)
from crm_kit import clock
from crm_kit.process.runtime import Runtime
from crm_local.servers import NoServer, packages

from .dovecot import Dovecot, program, running
from .mails import mail

SALES, SUPPORT = "sales@us.example", "support@us.example"
Rows = Callable[..., Any]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with running() as server:
        yield server


@pytest.fixture
def inbox(dovecot: Dovecot) -> Iterator[Mailbox]:
    """An empty mailbox, which is emptied again."""
    yield dovecot.mailbox(SALES)
    with dovecot.open(SALES) as client:
        client.select()
        client.store("1:*", "+FLAGS", r"(\Deleted)")
        client.expunge()


def given(runtime: Runtime, **settings: Any) -> None:
    runtime.extras["inbound_mail"] = InboundSettings.model_validate(settings)


STORED = "select mailbox, size, complete, status from inbound_mail order by created_at, id"


async def test_a_poll_stores_what_is_new_with_few_commands(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    dovecot.set_uids(SALES, "--min-next-uid", "1377008890")
    # One has no Message-ID, and one has one that libraries cannot read.
    mails = [mail("Message-ID:"), mail("Message-ID: <[AB==@example.com]>"), mail("Subject: 3"), b"\xff\x00 no mail"]
    dovecot.fill(SALES, *mails)
    polling = Polling(runtime)
    assert await polling.poll(inbox) == 4
    assert await polling.poll(inbox) == 0
    assert [row[:2] for row in await rows(STORED)] == [(SALES, len(one)) for one in mails]
    [(last,)] = await rows("select last_uid from mailbox_cursor")
    assert last == 1377008893
    connection = Connection(server_of(inbox.server), inbox.folder, 1000)
    assert [one.uid for batch in connection.after(1377008889) for one in batch] == [*range(1377008890, 1377008894)]
    connection.close()
    assert connection.commands < 10


async def test_mails_stay_unseen_and_keep_their_bytes(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    raw = mail(b"From: M\xfcller <m@example.com>", body=b"\xe4\x00\r\n.\r\n")
    dovecot.fill(SALES, raw)
    await Polling(runtime).poll(inbox)
    [(content,)] = await rows("select s.content from inbound_mail m join inbound_source s on s.id = m.source")
    with dovecot.open(SALES) as client:
        client.select(readonly=True)
        assert client.search(None, "UNSEEN")[1] != [b""]
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == content  # type: ignore[index]  # an answer with a literal


async def test_other_uids_read_everything_again_and_store_nothing_twice(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    dovecot.fill(SALES, mail("Subject: 1"), mail("Subject: 2"))
    polling = Polling(runtime)
    assert await polling.poll(inbox) == 2
    dovecot.set_uids(SALES, "--uid-validity", "4000000000")
    dovecot.fill(SALES, mail("Subject: 3"))
    assert await polling.poll(inbox) == 1
    assert len(await rows(STORED)) == 3


async def test_of_a_mail_that_is_too_large_the_head_is_taken(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    given(runtime, CRM_MAIL_MAX_BYTES=1024)
    large = mail("Subject: large", body=b"x" * 5000)
    dovecot.fill(SALES, large, mail("Subject: small"))
    assert await Polling(runtime).poll(inbox) == 2
    assert [(size, complete) for _, size, complete, _ in await rows(STORED)] == [
        *((len(large), False), (len(mail("Subject: small")), True)),
    ]


async def test_one_worker_at_a_time_reads_a_mailbox(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    dovecot.fill(SALES, mail())
    async with runtime.db.begin() as conn:
        claim = await cursors.take(conn, SALES)
    assert claim is not None
    assert await Polling(runtime).poll(inbox) == 0
    assert await rows(STORED) == []
    # A worker that died leaves a claim that ends.
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update mailbox_cursor set claimed_until = $1", (clock.now(),))
    assert await Polling(runtime).poll(inbox) == 1
    async with runtime.db.begin() as conn:
        with pytest.raises(cursors.ClaimLost):
            await cursors.advance(conn, claim, 1, 1)


async def test_two_mailboxes_have_one_mail_each(runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows) -> None:
    dovecot.fill(SALES, mail())
    dovecot.fill(SUPPORT, mail())
    polling = Polling(runtime)
    await asyncio.gather(polling.poll(inbox), polling.poll(dovecot.mailbox(SUPPORT)))
    assert sorted(row[0] for row in await rows(STORED)) == [SALES, SUPPORT]


async def test_a_mailbox_that_cannot_be_read_harms_no_other(
    runtime: Runtime, dovecot: Dovecot, inbox: Mailbox, rows: Rows
) -> None:
    given(runtime, CRM_MAIL_POLL_SECONDS=1)
    dovecot.fill(SALES, mail())
    wrong = Mailbox(name="wrong", server=f"imap://a:secret-word@127.0.0.1:{dovecot.port}?tls=none")
    runtime.extras["mailboxes"] = (wrong, inbox)
    polling = Polling(runtime)
    with capture_logs() as logs:
        loop = asyncio.create_task(polling.run())
        async with asyncio.timeout(60):
            while not (await rows(STORED) and logs):
                assert not loop.done()
                await asyncio.sleep(0.02)
        polling.stop()
        await loop
    [(problem,)] = await rows("select problem from mailbox_cursor where mailbox = 'wrong'")
    assert "login" in problem
    assert "secret-word" not in f"{problem}{logs}"


def test_a_folder_that_is_missing_is_named_with_its_reason(dovecot: Dovecot) -> None:
    with pytest.raises(MailboxError, match=r"select was refused: .*exist"):
        Connection(server_of(dovecot.mailbox(SALES).server), "Nowhere", 1000)


def test_folders_are_named_in_modified_utf7() -> None:
    assert [quoted(name) for name in ("INBOX", "Entwürfe & Co", "日本語", 'a"b\\')] == [
        *('"INBOX"', '"Entw&APw-rfe &- Co"', '"&ZeVnLIqe-"', '"a\\"b\\\\"'),
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('[{"name": "a", "server": "imap://a:secret@mail.example.org?tls=none"}]', "without TLS"),
        ('[{"name": "a", "server": "http://secret"}]', "a URL such as imaps://"),
        ('[{"name": "a", "server": "imaps://secret@h"}]', "user and password"),
        ('[{"name": "a", "server": "imaps://a:secret@h"}, {"name": "a", "server": "imaps://b:c@h"}]', "one name"),
        ("secret", "Invalid JSON"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(written: str, said: str) -> None:
    with pytest.raises(BadMailboxes, match=said) as raised:
        read_mailboxes({"CRM_MAILBOXES": written})
    assert "secret" not in str(raised.value)


def test_a_server_is_read_from_its_url() -> None:
    [one] = read_mailboxes({"CRM_MAILBOXES": '[{"name": "a", "server": "imaps://a%40b:p%3Aw@mail.example.org"}]'})
    server = server_of(one.server)
    assert (server.host, server.port, server.tls, server.user) == ("mail.example.org", 993, "implicit", "a@b")
    assert server.password.get_secret_value() == "p:w"


# -- SMTP -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(runtime: Runtime, **more: Any) -> AsyncIterator[Inlet]:
    """The inlet on a free port."""
    given(runtime, **{"CRM_SMTP_RECIPIENTS": "@us.example, one@other.example", "CRM_MAIL_MAX_BYTES": 20_000, **more})
    inlet, ready = Inlet(runtime), asyncio.Event()
    serving = asyncio.create_task(inlet.serve("127.0.0.1", 0, ready))
    await ready.wait()
    try:
        yield inlet
    finally:
        inlet.stop()
        await serving


async def send(inlet: Inlet, raw: bytes, *recipients: str, sender: str = "ada@example.com") -> dict[str, Any]:
    """Send as a mail server does; returns the refused recipients with the answers."""

    def by_client() -> dict[str, Any]:
        with smtplib.SMTP("127.0.0.1", inlet.port, local_hostname="mx.example.com", timeout=60) as client:
            return client.sendmail(sender, list(recipients), raw)

    return await asyncio.to_thread(by_client)


async def test_a_mail_by_smtp_is_stored_for_each_recipient(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        refused = await send(inlet, mail(), SALES, SUPPORT, "one@other.example", "two@other.example")
    assert refused == {"two@other.example": (550, b"5.1.1 This address takes no mail here")}
    assert sorted(row[0] for row in await rows(STORED)) == ["one@other.example", SALES, SUPPORT]
    [(count,)] = await rows("select count(*) from inbound_source")
    assert count == 1
    [(content,)] = await rows("select content from inbound_source")
    assert content.startswith(b"Return-Path: <ada@example.com>\r\nX-Original-To: sales@us.example\r\n")
    assert content.endswith(mail())


async def test_the_same_mail_again_is_stored_once(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        await send(inlet, mail(), SALES)
        await send(inlet, mail(), SALES)
    assert len(await rows(STORED)) == 1


async def test_smtp_refuses_what_is_too_large_or_goes_round(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        with pytest.raises(smtplib.SMTPSenderRefused) as raised:
            await send(inlet, mail(body=b"x" * 30_000), SALES)
        assert raised.value.smtp_code == 552
        with pytest.raises(smtplib.SMTPDataError) as circled:
            await send(inlet, mail(*["Received: by mx.example.com"] * 100), SALES)
        assert circled.value.smtp_code == 554
    assert await rows(STORED) == []


async def test_a_mail_with_a_long_line_is_taken(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        assert await send(inlet, mail(body=b"x" * 15_000 + b"\r\n"), SALES) == {}
    assert [row[0] for row in await rows(STORED)] == [SALES]


async def flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_connection_ends_before_it_fills_the_memory(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        reader, writer = await asyncio.open_connection("127.0.0.1", inlet.port)
        await reader.readline()
        for command in ("HELO mx.example.com", "MAIL FROM:<ada@example.com>", f"RCPT TO:<{SALES}>", "DATA"):
            writer.write(f"{command}\r\n".encode())
            answer = await reader.readline()
        assert answer.startswith(b"354")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(writer), 60)
        writer.close()
        assert await send(inlet, mail(), SALES) == {}
    assert len(await rows(STORED)) == 1


async def test_a_mail_that_cannot_be_stored_stays_with_its_sender(runtime: Runtime, rows: Rows) -> None:
    async with listening(runtime) as inlet:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("alter table inbound_source rename to inbound_source_away")
        try:
            with pytest.raises(smtplib.SMTPDataError) as raised:
                await send(inlet, mail(), SALES)
        finally:
            async with runtime.db.begin() as conn:
                await conn.exec_driver_sql("alter table inbound_source_away rename to inbound_source")
        assert raised.value.smtp_code == 451
        assert await rows(STORED) == []
        assert await send(inlet, mail(), SALES) == {}
    assert len(await rows(STORED)) == 1


def test_without_dovecot_tests_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(packages, "can_install", lambda: False)
    with pytest.raises(NoServer, match="dovecot-imapd"):
        program()


def test_a_port_needs_recipients() -> None:
    with pytest.raises(ValueError, match="CRM_SMTP_RECIPIENTS is empty"):
        InboundSettings.model_validate({"CRM_SMTP_PORT": 2525})
