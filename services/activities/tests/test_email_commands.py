"""Drafts, conversations, received and automatic mails: rows and events, in a transaction that is rolled back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select

from crm_activities.email import commands
from crm_activities.email.model import Email
from crm_activities.email.schemas import EmailCreate, EmailSend, EmailUpdate
from crm_activities.mail.automatic import queue_automatic
from crm_activities.mail.bodies import read_body
from crm_activities.mail.receiving import Person, Receipt, ReceivedMail, receive
from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.email import Automatic
from crm_kit.errors import DomainError, IllegalTransition, InvalidValue
from crm_kit.testing import announced, emitted
from crm_kit.testing.people import HEADQUARTERS
from crm_kit.work.uow import UnitOfWork

TYPE = "crm.activities.email.{}.v1"
AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
ADA = [{"role": "to", "address": "ada@example.org", "name": "Ada"}]


async def drafted(uow: UnitOfWork, **fields: Any) -> Email:
    made = await commands.create_email(uow, EmailCreate(**{"subject": "Card", "parties": ADA, **fields}))
    await uow.flush()
    return made


async def arrives(uow: UnitOfWork, message_id: str, mailbox: str = "sales", **fields: Any) -> Receipt:
    owner = ("user", uow.principal.id, HEADQUARTERS)
    mail = ReceivedMail(**{"message_id": message_id, "mailbox": mailbox, "received_at": AT, "owner": owner, **fields})
    got = await receive(uow, mail)
    await uow.flush()
    return got


async def threads_of(uow: UnitOfWork, ids: Sequence[str]) -> list[Any]:
    rows = await uow.execute(select(Email.message_id, Email.thread_id).where(Email.message_id.in_(ids)))
    found = {row.message_id: row.thread_id for row in rows}
    return [found[one] for one in ids]


async def test_a_draft_has_its_body_apart(uow: UnitOfWork) -> None:
    draft = await drafted(uow, html="<p onclick=x>Hello <b>Ada</b></p>")
    assert (draft.state, draft.delivery, draft.preview) == ("open/draft", "none", "Hello Ada")
    assert (await read_body(uow, draft.id)).html == "<p>Hello <b>Ada</b></p>"
    [event] = await announced(uow)
    assert event["type"] == TYPE.format("created")
    assert {"html", "text"} & event["data"]["record"].keys() == set()


async def test_new_html_makes_the_text_anew(uow: UnitOfWork) -> None:
    draft = await drafted(uow, html="<p>Hello</p>")
    before = draft.body_digest
    changed = await commands.update_email(uow, draft.id, EmailUpdate(html="<p>Bye</p>"))
    assert (changed.preview, emitted(uow)) == ("Bye", [TYPE.format("updated")])
    assert changed.body_digest != before
    await uow.flush()
    both = await commands.update_email(uow, draft.id, EmailUpdate(text="In short: bye"))
    body = await read_body(uow, draft.id)
    assert (body.html, body.text, both.version) == ("<p>Bye</p>", "In short: bye", 3)
    await uow.flush()
    assert (await commands.update_email(uow, draft.id, EmailUpdate(text="In short: bye"))).version == 3


async def test_sending_queues_in_the_same_transaction(uow: UnitOfWork) -> None:
    draft = await drafted(uow, parties=[*ADA, {"role": "bcc", "address": "b@example.org"}])
    queued = await commands.send_email(uow, draft.id, EmailSend())
    assert (queued.state, queued.delivery, queued.completed_at) == ("completed/pending_send", "queued", uow.now)
    assert emitted(uow) == [TYPE.format("queued")]
    await uow.flush()
    row = (await uow.execute(select(*_columns()))).one()
    assert (row.email_id, row.recipients, row.null_sender) == (draft.id, ["ada@example.org", "b@example.org"], False)
    with pytest.raises(IllegalTransition, match="on its way"):
        await commands.send_email(uow, draft.id, EmailSend(confirm=True))
    with pytest.raises(DomainError, match="only be edited"):
        await commands.update_email(uow, draft.id, EmailUpdate(subject="Again"))


def _columns() -> Any:
    return Email.metadata.tables["outgoing_mail"].c


async def test_a_mail_to_nobody_is_not_queued(uow: UnitOfWork) -> None:
    draft = await drafted(uow, parties=[])
    with pytest.raises(InvalidValue, match="recipient"):
        await commands.send_email(uow, draft.id, EmailSend())


async def test_an_answer_joins_the_conversation_and_its_record(uow: UnitOfWork) -> None:
    first = await drafted(uow)
    got = await arrives(uow, "<r2@c>", in_reply_to="<r1@c>", references=[first.message_id, "<r1@c>"])
    # ACT-02: the parent was never seen, and the mail of ours stands further back.
    assert got.email.thread_id == first.thread_id
    answer = await drafted(uow, reply_to_id=got.email.id)
    assert (answer.thread_id, answer.in_reply_to) == (first.thread_id, "<r2@c>")
    assert answer.references == [first.message_id, "<r1@c>", "<r2@c>"]


MAILS: dict[str, dict[str, Any]] = {
    "<m1@c>": {},
    "<m2@c>": {"references": ["<m1@c>"]},
    "<m3@c>": {"in_reply_to": "<m1@c>", "references": ["<m1@c>"]},
    "<m4@c>": {"in_reply_to": "<m2@c>"},
    "<m5@c>": {"references": ["<m0@c>", "<m4@c>"]},
}


@pytest.mark.parametrize("order", list(permutations(MAILS))[::17])
async def test_mails_with_a_common_ancestor_are_one_conversation_in_any_order(
    uow: UnitOfWork, order: Sequence[str]
) -> None:
    # ACT-01, with an ancestor that is not seen, or seen late.
    for one in order:
        await arrives(uow, one, **MAILS[one])
    assert len(set(await threads_of(uow, order))) == 1


async def test_a_mail_that_names_two_conversations_joins_them_with_events(uow: UnitOfWork) -> None:
    for one in ("<a1@c>", "<a2@c>", "<b1@c>"):
        await arrives(uow, one, references=[f"<{one[1]}@c>"])
    before = await threads_of(uow, ["<a1@c>", "<a2@c>", "<b1@c>"])
    assert before[0] == before[1] != before[2]
    await arrives(uow, "<x@c>", references=["<b@c>", "<a2@c>"])
    assert await threads_of(uow, ["<a1@c>", "<a2@c>", "<b1@c>", "<x@c>"]) == [before[0]] * 4
    types = [event["type"] for event in await announced(uow)]
    assert types[-2:] == [TYPE.format("updated"), TYPE.format("received")]
    assert await arrives(uow, "<late@c>", in_reply_to="<b1@c>")
    assert (await threads_of(uow, ["<late@c>"])) == [before[0]]


async def test_equal_subjects_are_no_conversation(uow: UnitOfWork) -> None:
    first = await arrives(uow, "<s1@c>", subject="Question")
    other = await arrives(uow, "<s2@c>", subject="Re: Question")
    assert first.email.thread_id != other.email.thread_id


@pytest.mark.parametrize("order", [["sales", "support"], ["support", "sales"]])
async def test_a_mail_in_two_mailboxes_is_one(uow: UnitOfWork, order: list[str]) -> None:
    # ACT-04
    for mailbox in [*order, *order]:
        got = await arrives(uow, "<t@c>", mailbox)
    assert (got.new, got.ours, got.email.mailboxes, got.email.version) == (False, False, ["sales", "support"], 2)
    assert len(await announced(uow)) == 2


async def test_our_own_mail_that_comes_back_is_no_second_one(uow: UnitOfWork) -> None:
    # ACT-19
    draft = await drafted(uow)
    got = await arrives(uow, draft.message_id)
    assert (got.new, got.ours, got.email.id, got.email.version) == (False, True, draft.id, 1)
    assert [event["type"] for event in await announced(uow)] == [TYPE.format("created")]


async def test_a_received_mail_is_kept_as_it_is_and_within_bounds(uow: UnitOfWork) -> None:
    got = await arrives(
        uow,
        "<[ABCDEF====@example.com]>",
        subject="Hi\r\nBcc: x@example.com " + "あ" * 400,
        sender=Person("mül ler@", "Müller\x00"),
        to=[Person(f"{n}@example.org") for n in range(600)],
        html="<script>x</script><b>Hello</b>" + "x" * 50_000,
        warnings=["unknown charset\n"],
        parties=[
            {
                "address": "3@EXAMPLE.org",
                "party": {"type": "lead", "id": str(uow.principal.id), "name": "Ada", "deleted": False},
            }
        ],
    )
    email = got.email
    assert (email.state, email.message_id, email.direction) == (
        *("completed/received", "<[ABCDEF====@example.com]>", "incoming"),
    )
    assert email.subject.startswith("Hi Bcc: x@example.com あ")
    assert (len(email.subject), len(email.parties), email.decode_warnings) == (200, 500, ["unknown charset"])
    assert (email.parties[0]["role"], email.parties[0]["name"]) == (PartyRole.FROM, "Müller")
    assert (email.parties[4]["address"], email.parties[4]["name"]) == ("3@example.org", "Ada")
    [event] = await announced(uow)
    assert event["type"] == TYPE.format("received")
    assert len(event["data"]["record"]["preview"]) == 500
    assert len((await read_body(uow, email.id)).html or "") > 50_000


async def test_a_mail_belongs_to_whom_its_conversation_belongs(uow: UnitOfWork) -> None:
    first = await drafted(uow)
    got = await arrives(uow, "<r@c>", references=[first.message_id], owner=None)
    assert (got.email.owner_id, got.email.subject) == (first.owner_id, "(no subject)")
    with pytest.raises(ValueError, match="no owner"):
        await arrives(uow, "<q@c>", owner=None)


async def acknowledge(uow: UnitOfWork, answered: Email) -> Email | None:
    made = await queue_automatic(
        uow,
        to=[("ada@example.org", "Ada\r\nBcc: x@y")],
        subject="We got\r\nBcc: x@y",
        text="Thank you",
        owner=("user", uow.principal.id, HEADQUARTERS),
        answers=answered,
    )
    await uow.flush()
    return made


async def test_a_sender_gets_one_automatic_answer_a_day(uow: UnitOfWork) -> None:
    # ACT-17
    made = []
    for n in range(11):
        got = await arrives(uow, f"<in{n}@c>", sender=Person("ada@example.org"))
        made.append(await acknowledge(uow, got.email))
        uow.now += timedelta(minutes=1)
    assert [one is not None for one in made] == [True] + [False] * 10
    first = made[0]
    assert first is not None
    assert (first.state, first.automatic, first.subject) == (
        *("completed/pending_send", "auto_replied", "We got Bcc: x@y"),
    )
    assert first.parties[0]["name"] == "Ada Bcc: x@y"
    row = (await uow.execute(select(*_columns()))).one()
    assert (row.email_id, row.null_sender) == (first.id, True)
    uow.now += timedelta(days=1)
    assert await acknowledge(uow, got.email) is not None
    other = await arrives(uow, "<other@c>", "support", sender=Person("ada@example.org"))
    assert await acknowledge(uow, other.email) is not None


@pytest.mark.parametrize("automatic", [Automatic.AUTO_GENERATED, Automatic.AUTO_REPLIED])
async def test_an_automatic_mail_is_never_answered_by_a_program(uow: UnitOfWork, automatic: Automatic) -> None:
    got = await arrives(uow, "<auto@c>", automatic=automatic)
    assert await acknowledge(uow, got.email) is None


async def test_a_deleted_mail_takes_its_body_and_its_place_in_the_queue_along(uow: UnitOfWork) -> None:
    draft = await drafted(uow, text="Hello")
    await commands.send_email(uow, draft.id, EmailSend())
    await uow.flush()
    await commands.delete_email(uow, draft.id)
    await uow.flush()
    assert (await read_body(uow, draft.id)).text is None
    assert (await uow.execute(select(*_columns()))).first() is None
