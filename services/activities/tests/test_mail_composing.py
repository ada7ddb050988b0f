"""Messages as bytes: their structure, headers, lengths of lines and encoded words. And the verdict on an attempt."""

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_activities.mail.composing import CannotBeWritten, Outgoing, Part, compose
from crm_activities.mail.headers import in_one_line
from crm_activities.mail.outcomes import GIVE_UP, Attempt, Fate, judge
from crm_contracts.activities.email import Automatic, DeliveryPhase

AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def party(role: str, address: str, name: str | None = None) -> dict[str, Any]:
    return {"role": role, "party": None, "address": address, "name": name}


def outgoing(**fields: Any) -> Outgoing:
    given = {
        "message_id": "<1@example.org>",
        "subject": "Card",
        "sender": "sales@example.org",
        "sender_name": "Sales",
        "parties": [party("to", "ada@example.org", "Ada")],
        "at": AT,
        "text": "Hello",
    }
    return Outgoing(**{**given, **fields})


def read(content: bytes) -> Any:
    return email.message_from_bytes(content, policy=email.policy.default)


def structure(message: Any) -> Any:
    kind = message.get_content_type()
    return (kind, [structure(one) for one in message.get_payload()]) if message.is_multipart() else kind


def test_images_are_related_to_the_text_and_files_are_apart() -> None:
    # ACT-23
    image = Part(b"\x89PNG\r\n", "image/png", "lögo.png", "logo@x")
    message = read(
        compose(
            outgoing(
                html='<p>Hi<img src="cid:logo@x"></p>',
                parts=[image, Part(b"%PDF-1.7", "application/pdf", "a\r\nb.pdf")],
            )
        ).content
    )
    inner = ("multipart/alternative", ["text/plain", "text/html"])
    assert structure(message) == ("multipart/mixed", [("multipart/related", [inner, "image/png"]), "application/pdf"])
    related, pdf = message.get_payload()
    shown = related.get_payload()[1]
    assert (shown["Content-ID"], shown.get_filename(), shown.get_content()) == ("<logo@x>", "lögo.png", b"\x89PNG\r\n")
    assert (shown.get_content_disposition(), pdf.get_content_disposition()) == ("inline", "attachment")
    assert (pdf.get_filename(), pdf.get_content()) == ("a b.pdf", b"%PDF-1.7")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "text/plain"),
        ({"text": None}, "text/plain"),
        ({"html": "<p>x</p>"}, ("multipart/alternative", ["text/plain", "text/html"])),
        (
            {"parts": [Part(b"x", "message/rfc822", "a.eml")]},
            ("multipart/mixed", ["text/plain", "application/octet-stream"]),
        ),
        # An image that the HTML does not name is an attachment.
        ({"parts": [Part(b"x", "image/png", "a.png", "y@x")]}, ("multipart/mixed", ["text/plain", "image/png"])),
        (
            {"calendar": "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR\r\n"},
            ("multipart/alternative", ["text/plain", "text/calendar"]),
        ),
    ],
)
def test_a_message_has_no_level_that_it_does_not_need(fields: dict[str, Any], expected: Any) -> None:
    assert structure(read(compose(outgoing(**fields)).content)) == expected


TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


@settings(deadline=None, max_examples=50)
@given(subject=TEXTS, name=TEXTS, text=TEXTS, html=TEXTS)
def test_any_text_becomes_a_message_that_says_the_same(subject: str, name: str, text: str, html: str) -> None:
    content = compose(
        outgoing(subject=subject, parties=[party("to", "ada@example.org", name)], text=text, html=html)
    ).content
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    assert all(len(word) <= 75 for word in re.findall(r"=\?[^?]+\?[bq]\?[^?]*\?=", head))
    names = re.findall(r"^([A-Za-z-]+):", head, re.MULTILINE)
    assert sorted(names) == sorted({*names})
    assert set(names) <= {"Message-ID", "From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}
    message = read(content)
    assert message["To"].addresses[0].addr_spec == "ada@example.org"
    assert "Bcc" not in message
    assert message["Subject"].strip() == in_one_line(subject, 200)


def test_a_long_line_is_wrapped_and_read_as_it_was() -> None:
    text = "x" * 5000 + "\n.\nFrom here\n" + "ü" * 2000
    message = read(compose(outgoing(text=text)).content)
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == text


def test_references_are_folded_between_ids_and_never_inside() -> None:
    ids = [f"<{n}{'a' * 60}@example.org>" for n in range(100)]
    content = compose(outgoing(in_reply_to=ids[-1], references=[*ids, "<é@x>"])).content
    message = read(content)
    assert message["References"].split() == ids
    assert (message["In-Reply-To"], message["Message-ID"]) == (ids[-1], "<1@example.org>")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


def test_hidden_recipients_stay_hidden() -> None:
    hidden = compose(outgoing(parties=[party("bcc", "b@example.org")])).content
    assert b"b@example.org" not in hidden
    assert b"undisclosed-recipients" in hidden


@pytest.mark.parametrize(
    ("automatic", "header"), [("no", None), *((a, a.replace("_", "-")) for a in list(Automatic)[1:])]
)
def test_automatic_mails_say_so(automatic: str, header: str | None) -> None:
    assert read(compose(outgoing(automatic=automatic)).content)["Auto-Submitted"] == header


def test_utf8_is_for_local_parts_alone() -> None:
    assert not compose(outgoing(sender="ada@bücher.example")).utf8
    assert b"ada@xn--bcher-kva.example" in compose(outgoing(sender="ada@bücher.example")).content
    message = compose(outgoing(parties=[party("to", "用户@例子.公司", "王")]))
    assert message.utf8
    assert "用户@".encode() in message.content


def test_a_mail_without_a_form_says_why() -> None:
    with pytest.raises(CannotBeWritten, match="METHOD"):
        compose(outgoing(calendar="BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"))


# -- the verdict --------------------------------------------------------------------------------------------------------

A, B, C = "a@x", "b@x", "c@x"


def verdict(attempt: Attempt, *, attempts: int = 1, age: timedelta = timedelta(0), sent_before: bool = False) -> Any:
    return judge(attempt, (A, B, C), attempts=attempts, queued_at=AT - age, now=AT, sent_before=sent_before)


def test_all_taken_is_sent() -> None:
    assert verdict(Attempt(DeliveryPhase.DATA, taken=(A, B, C))).fate is Fate.SENT


def test_silence_after_the_content_is_uncertain_whatever_else_is_known() -> None:
    silent = verdict(Attempt(DeliveryPhase.DATA, silent=True, refused=((B, "550"),)), age=GIVE_UP)
    assert (silent.fate, silent.undelivered) == (Fate.UNCERTAIN, ((B, "550"),))


def test_what_is_put_off_is_tried_again_for_those_who_lack_it() -> None:
    some = verdict(Attempt(DeliveryPhase.DATA, "450 later", 450, taken=(A,), refused=((B, "550 no"),), deferred=(C,)))
    assert (some.fate, some.remaining, some.undelivered) == (Fate.DEFERRED, (C,), ((B, "550 no"),))
    assert some.again_at == AT + timedelta(minutes=1)
    assert verdict(Attempt(DeliveryPhase.CONNECT), attempts=3).again_at == AT + timedelta(minutes=15)
    assert verdict(Attempt(DeliveryPhase.CONNECT), attempts=99).again_at == AT + timedelta(hours=4)


@pytest.mark.parametrize(("sent_before", "fate"), [(False, Fate.FAILED), (True, Fate.SENT)])
def test_in_the_end_it_counts_whether_anybody_got_it(sent_before: bool, fate: Fate) -> None:
    late = verdict(Attempt(DeliveryPhase.CONNECT, "refused"), age=GIVE_UP, sent_before=sent_before)
    assert (late.fate, len(late.undelivered)) == (fate, 3)
    final = verdict(Attempt(DeliveryPhase.DATA, "554 no", 554, permanent=True), sent_before=sent_before)
    assert (final.fate, final.undelivered[0]) == (fate, (A, "554 no"))


@settings(deadline=None)
@given(
    taken=st.sets(st.sampled_from([A, B, C])),
    refused=st.sets(st.sampled_from([A, B, C])),
    permanent=st.booleans(),
    silent=st.booleans(),
)
def test_nobody_is_tried_again_who_got_it_or_was_refused(
    taken: set[str], refused: set[str], permanent: bool, silent: bool
) -> None:
    lost = tuple((one, "550") for one in sorted(refused - taken))
    found = verdict(Attempt(DeliveryPhase.DATA, taken=tuple(taken), refused=lost, permanent=permanent, silent=silent))
    settled = taken | {address for address, _ in lost}
    assert not set(found.remaining) & settled
    if not silent:
        known = {*taken, *found.remaining, *(address for address, _ in found.undelivered)}
        assert known == {A, B, C}
