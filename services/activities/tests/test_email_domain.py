"""E-mails without a database: the state machine, recipients, bodies, Message-IDs, senders, and cleaned HTML."""

import re
from contextlib import nullcontext
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import idna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_activities.email.domain import LIFECYCLE, recipients_of, require_confirmation, require_recipient
from crm_activities.email.model import Email
from crm_activities.mail.bodies import body_of
from crm_activities.mail.headers import in_one_line
from crm_activities.mail.html import STYLES, clean_html, text_of, without_remote_images
from crm_activities.mail.ids import MOST_BYTES, answers, ascii_domain, chain, known_id, new_message_id
from crm_activities.mail.senders import BadSenders, Senders, read_senders, server_of
from crm_contracts.activities.email import EmailStatus, EmailStatusReason
from crm_contracts.types.reached import normal_email
from crm_kit.errors import DomainError, IllegalTransition, InvalidValue

ID = UUID("01900000-0000-7000-8000-0000000000aa")


@pytest.mark.parametrize(("action", "state"), list(product(LIFECYCLE.moves, LIFECYCLE.states)))
def test_lifecycle_follows_its_table(action: str, state: str) -> None:
    with nullcontext() if action in LIFECYCLE.actions(state) else pytest.raises(IllegalTransition):
        status, reason = LIFECYCLE.after(action, state)
        assert f"{status}/{reason}" in LIFECYCLE.states


def test_the_states_are_those_of_the_contract() -> None:
    assert set(LIFECYCLE.statuses) == set(EmailStatus)
    assert set(LIFECYCLE.status_reasons) == set(EmailStatusReason)


@pytest.mark.parametrize(
    ("values", "moves"),
    [
        ({"status": "open", "status_reason": "draft", "delivery": "none"}, ["send", "complete", "cancel"]),
        ({"status": "open", "status_reason": "failed", "delivery": "failed"}, ["send", "complete", "cancel"]),
        ({"status": "completed", "status_reason": "pending_send", "delivery": "queued"}, []),
        ({"status": "completed", "status_reason": "pending_send", "delivery": "uncertain"}, ["send"]),
        ({"status": "completed", "status_reason": "sent", "delivery": "sent"}, []),
        ({"status": "completed", "status_reason": "sent", "delivery": "none"}, ["reopen"]),
        ({"status": "completed", "status_reason": "received", "delivery": "none", "mailboxes": ["sales"]}, []),
        ({"status": "canceled", "status_reason": "canceled", "delivery": "none"}, ["reopen"]),
    ],
)
def test_what_a_mail_server_knows_cannot_be_taken_back(values: dict[str, Any], moves: list[str]) -> None:
    found = Email.moves_from({"mailboxes": [], **values})
    assert [move for move in found if move not in ("reschedule", "snooze")] == moves


def party(role: str, address: str | None) -> dict[str, Any]:
    return {"role": role, "party": None, "address": address, "name": None}


def test_each_recipient_is_one_whatever_the_case_and_the_role() -> None:
    parties = [party("bcc", "c@x.org"), party("to", "A@x.org"), party("cc", "a@X.org"), party("from", "me@x.org")]
    assert recipients_of(parties) == ["A@x.org", "c@x.org"]
    with pytest.raises(InvalidValue, match="recipient") as refused:
        require_recipient([party("from", "me@x.org")])
    assert refused.value.errors[0].code == "recipient-required"


def test_an_uncertain_mail_is_sent_again_only_by_a_persons_word() -> None:
    require_confirmation(uncertain=False, confirmed=False)
    require_confirmation(uncertain=True, confirmed=True)
    with pytest.raises(DomainError, match="may have been delivered"):
        require_confirmation(uncertain=True, confirmed=False)


# -- references (RFC 5322 §3.6.4) ---------------------------------------------------------------------------------------


def test_an_answer_names_the_whole_conversation() -> None:
    assert answers("<r2@c>", "<r1@c>", ["<o1@us>", "<r1@c>"]) == ["<o1@us>", "<r1@c>", "<r2@c>"]
    assert answers("<r2@c>", "<r1@c>", []) == ["<r1@c>", "<r2@c>"]
    assert answers("<r2@c>", None, []) == ["<r2@c>"]


def test_a_long_chain_keeps_its_first_and_its_last_ids() -> None:
    ids = [f"<{n}@x>" for n in range(300)]
    kept = chain(ids, "<last@x>")
    assert (len(kept), kept[0], kept[1], kept[-1]) == (100, "<0@x>", "<202@x>", "<last@x>")
    assert chain(["<a@x>", "<b@x>", "<a@x>"]) == ["<b@x>", "<a@x>"]


def test_an_id_is_kept_verbatim_unless_no_index_takes_it() -> None:
    assert known_id("<[ABCDEF====@example.com]>") == "<[ABCDEF====@example.com]>"
    assert known_id("<a@x\r\n b>") == "<a@xb>"
    long = f"<{'é' * MOST_BYTES}@x>"
    assert known_id(long) == known_id(long) != known_id(long + "y")
    assert len(known_id(long).encode()) <= MOST_BYTES


def test_our_own_ids_are_those_of_their_mails_in_ascii() -> None:
    assert new_message_id(ID, "ada@example.org") == f"<{ID.hex}@example.org>"
    assert new_message_id(ID, "ada@bücher.example") == f"<{ID.hex}@xn--bcher-kva.example>"


# -- HTML (ACT-26) ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '<a href="java&#9;script:alert(1)">x</a>',
    "<svg><foreignObject><iframe src=javascript:1></iframe></foreignObject></svg>",
    "<base href=//e><form action=/x><input></form>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<p style='background:url(https://e.example/x);position:fixed;color:red'>y</p>",
    "<img src='data:text/html,<script>1</script>'><meta http-equiv=refresh content=0><link rel=stylesheet href=//e>",
    "<div style='color:\\75rl(//e)'>z</div><a href='vbscript:1'>w</a><a href='data:text/html,x'>v</a>",
]


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_runs_or_loads_after_cleaning(html: str) -> None:
    cleaned = clean_html(html)
    lower = cleaned.lower()
    for gone in (
        "<svg",
        "<iframe",
        "<base",
        "<form",
        "<style",
        "<script",
        "<meta",
        "<link",
        "script:",
        "url(",
        "<math",
    ):
        assert gone not in lower, cleaned
    assert "onerror=" not in lower.replace("&lt;img src=1 onerror=", "")
    assert clean_html(cleaned) == cleaned


@settings(deadline=None)
@given(html=st.text(alphabet="<>/\"'= abimgsrcstyleonhdvp&;#x:()\\-!", max_size=200))
def test_cleaning_twice_changes_nothing(html: str) -> None:
    cleaned = clean_html(html)
    assert clean_html(cleaned) == cleaned
    text_of(cleaned)
    without_remote_images(cleaned)


def test_images_of_the_mail_stay_and_those_of_others_are_blocked() -> None:
    cleaned = clean_html(
        '<p>A &amp; B<img src="cid:logo@x"><img alt="b" src="https://e.example/p.gif?a=1&amp;b=2"></p>'
    )
    blocked = without_remote_images(cleaned)
    assert 'src="cid:logo@x"' in cleaned
    assert ' src="https://' in cleaned
    assert 'src="cid:logo@x"' in blocked
    assert ' src="https://' not in blocked
    assert 'data-blocked-src="https://e.example/p.gif?a=1&amp;b=2"' in blocked
    assert "A &amp; B" in blocked


@pytest.mark.parametrize(
    "image",
    [
        r"<img src='https:\\e.example\p.png'>",
        "<img src='https:/e.example/p.png'>",
        "<img src='http:e.example/p.png'>",
        "<img src='//e.example/p.png'>",
        "<img alt=' src=x' src='https://e.example/p.png'>",
        "<img title='a src=cid:x' alt='&quot;>' src='https://e.example/p.png'>",
    ],
)
def test_no_image_of_another_server_is_loaded_however_it_is_written(image: str) -> None:
    blocked = without_remote_images(clean_html(image))
    sources = [value for name, value in attributes_of(blocked) if name == "src"]
    assert sources == []


def attributes_of(html: str) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(attrs)

    Reader().feed(html)
    return found


@pytest.mark.parametrize("address", ["ada@faß.de", "ada@straße.de", "ada@βόλος.com", "ada@例え.jp", "ada@example.org"])
def test_a_mail_goes_to_the_domain_that_was_stored(address: str) -> None:
    stored = normal_email(address)
    assert normal_email(f"ada@{ascii_domain(stored)}") == stored
    assert idna.decode(ascii_domain(stored)) == stored.rpartition("@")[2]


def test_html_has_a_text_version() -> None:
    html = (
        "<h1>Dear Ada,</h1><p>your <b>card</b> is\n ready: <a href='https://x.example/c'>look</a>.</p>"
        "<ul><li>one</li><li>two</li></ul><table><tr><td>Sum</td><td>12 €</td></tr></table>line<br>next"
    )
    assert text_of(clean_html(html)) == (
        "Dear Ada,\n\nyour card is ready: look <https://x.example/c>.\n\n- one\n- two\n\nSum  12 €\n\nline\nnext"
    )


def test_a_body_is_cleaned_and_has_text_digest_and_preview() -> None:
    body = body_of("<p>Hello <script>x</script>Ada</p>", None)
    assert (body.text, body.preview) == ("Hello Ada", "Hello Ada")
    assert body.digest == body_of("<p>Hello Ada</p>", "Hello Ada").digest != body_of(None, "Hello Ada").digest
    assert body_of(None, " \r\n") == body_of(None, None)
    assert body_of(None, None).digest is None
    answer = body_of(None, "ok\r\n\r\n> long quote", "ok")
    assert (answer.text, answer.preview) == ("ok\n\n> long quote", "ok")
    assert len(body_of(None, "x" * 5000).preview or "") == 500


@settings(deadline=None)
@given(text=st.text())
def test_a_header_is_one_line(text: str) -> None:
    kept = in_one_line(text, 200)
    assert len(kept) <= 200
    assert not set(kept) & set("\r\n\0\x0b\x0c\x1c\x85\u2028\u2029")


def test_a_header_keeps_what_only_joins_letters() -> None:
    assert in_one_line("A\r\nBcc: x@y", 200) == "A Bcc: x@y"
    assert in_one_line(" می‌خواهم 👩‍💻 ", 200) == "می‌خواهم 👩‍💻"


# -- senders ------------------------------------------------------------------------------------------------------------

SETTING = """[
  {"address": "sales@example.org", "name": "Sales", "server": "smtp://u:p%40ss@mail.example.org",
   "bounces": "bounces+{id}@example.org"},
  {"address": "help@example.org", "server": "smtps://mail.example.org"}
]"""


def senders() -> Senders:
    return read_senders({"CRM_MAIL_SENDERS": SETTING})


def test_senders_are_read_from_their_setting() -> None:
    first, second = senders().senders
    assert (first.server.host, first.server.port, first.server.tls, first.server.user) == (
        *("mail.example.org", 587, "starttls", "u"),
    )
    assert first.server.password is not None
    assert first.server.password.get_secret_value() == "p@ss"
    assert (second.server.port, second.server.tls, second.name) == (465, "implicit", None)
    assert "p@ss" not in repr(senders())
    assert read_senders({}).senders == ()


def test_the_first_sender_is_the_default_and_others_are_refused() -> None:
    found = senders().find(None)
    assert found is not None
    assert found.address == "sales@example.org"
    senders().require("HELP@example.org")
    with pytest.raises(InvalidValue, match=r"help@example\.org"):
        senders().require("x@example.org")
    read_senders({}).require("x@example.org")


def test_a_report_names_its_mail_by_its_address() -> None:
    first, second = senders().senders
    assert first.envelope(ID) == f"bounces+{ID.hex}@example.org"
    assert second.envelope(ID) == "help@example.org"
    assert senders().mail_of(f"Bounces+{ID.hex.upper()}@example.org") == ID
    assert senders().mail_of("bounces+x@example.org") is None
    assert senders().mail_of("help@example.org") is None


@pytest.mark.parametrize(
    "setting",
    [
        "{}",
        "[",
        '[{"address": "x", "server": "smtp://h"}]',
        '[{"address": "a@example.org", "server": "http://h"}]',
        '[{"address": "a@example.org", "server": "smtp://u:secret@h?tls=none"}]',
        '[{"address": "a@example.org", "server": "smtp://u:secret@h?tsl=none"}]',
        '[{"address": "a@example.org", "server": "smtp://u:secret@h:99999"}]',
        '[{"address": "a@example.org", "server": "smtp://h", "bounces": "b@example.org"}]',
    ],
)
def test_a_wrong_setting_is_told_without_its_secrets(setting: str) -> None:
    with pytest.raises(BadSenders) as refused:
        read_senders({"CRM_MAIL_SENDERS": setting})
    assert "CRM_MAIL_SENDERS" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadSenders, match="CRM_MAIL_SENDERS_FILE"):
        read_senders({"CRM_MAIL_SENDERS_FILE": str(tmp_path / "none")})
    kept = tmp_path / "senders.json"
    kept.write_text(SETTING)
    assert read_senders({"CRM_MAIL_SENDERS_FILE": str(kept)}) == senders()


def test_a_server_may_be_without_tls_where_nothing_secret_is_sent() -> None:
    server = server_of("smtp://localhost:2525?tls=none")
    assert (server.host, server.port, server.tls, server.user) == ("localhost", 2525, "none", None)


@pytest.mark.parametrize(("fonts", "blocks"), [(700, 700), (10_000, 25_000)])
def test_formatting_that_is_left_open_is_not_repeated_in_each_block(fonts: int, blocks: int) -> None:
    html = "<p>" + "".join(f"<font size={size}>" for size in range(fonts)) + "<p>x" * blocks
    cleaned = clean_html(html)
    assert len(cleaned) < 4 * len(html)
    assert cleaned.count("x") == blocks


def test_a_value_with_a_bracket_does_not_hide_that_formatting_differs() -> None:
    html = "<p>" + "".join(f"<font a' title='\">{size}'>" for size in range(700)) + "<p>x" * 700
    assert len(clean_html(html)) < 4 * len(html)


def test_honest_large_mails_keep_their_formatting() -> None:
    cell = '<td><font face="Arial" color="#123456"><b>x</b></font></td>'
    cleaned = clean_html("<table><tbody>" + f"<tr>{cell * 10}</tr>" * 1000 + "</tbody></table>")
    assert (cleaned.count("<font "), cleaned.count("<b>")) == (10_000, 10_000)


def test_each_allowed_property_of_a_style_is_one_name() -> None:
    assert {"font-size", "border-right", "border-left"} <= STYLES
    assert "right" not in STYLES
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in STYLES)
