"""Received mail is read whatever its form. The cases are those of public bug reports, with texts of our own."""

import base64
import binascii
import json
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_activities.mail.reading.addresses import Address
from crm_activities.mail.reading.reader import ReadMail, read_mail

from .mails import mail, multipart, part


def people(read: tuple[Address, ...]) -> list[tuple[str, str]]:
    return [(one.name, one.address) for one in read]


def named(read: ReadMail) -> list[str]:
    return [one.name for one in read.attachments]


# -- heads ------------------------------------------------------------------------------------------------------------


def test_words_that_are_cut_inside_a_character_are_joined() -> None:
    fields = "Subject: =?utf-8?B?V8M=?=\r\n =?utf-8?B?pHJtZXB1bXBlIHByw7xmZW4g4oCTIFN0w7ZydW5n?="
    assert read_mail(mail(fields)).subject == "Wärmepumpe prüfen – Störung"


@pytest.mark.parametrize(
    ("written", "subject"),
    [
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a_b?= c =?iso-8859-1?q?=E9?=", "a b c é"),
        ("=?utf-8?q?Is_it_so??=", "Is it so?"),
        ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?gb2312?B?" + base64.b64encode("朱镕基".encode("gb18030")).decode() + "?=", "朱镕基"),
        ("=?iso-2022-jp?B?" + base64.b64encode("見積もり".encode("iso2022_jp")).decode() + "?=", "見積もり"),
        ("plain =? not a word ?=", "plain =? not a word ?="),
        ("a\x00b\tc", "ab c"),
    ],
)
def test_encoded_words_are_decoded(written: str, subject: str) -> None:
    assert read_mail(mail(f"Subject: {written}")).subject == subject


def test_an_unknown_charset_and_a_wrong_padding_are_guessed() -> None:
    read = read_mail(mail("Subject: =?NONE?B?VEVTVA?="))
    assert read.subject == "TEST"
    assert "unknown charset NONE, read as utf-8" in read.warnings


def test_an_id_in_square_brackets_is_kept() -> None:
    read = read_mail(mail("Message-ID: <[ABCDEF====@example.com]>", "In-Reply-To: <[XYZ@example.com]>"))
    assert (read.message_id, read.in_reply_to) == ("<[ABCDEF====@example.com]>", ("<[XYZ@example.com]>",))


def test_a_mail_without_an_id_gets_one_of_its_bytes() -> None:
    head = ("From: a@x.example", "Message-ID:", "Subject: One")
    first, again = (
        read_mail(b"Delivered-To: " + box + b"\r\n" + mail(*head)) for box in (b"a@us.example", b"b@us.example")
    )
    other = read_mail(mail(*head, body="another"))
    assert first.message_id == again.message_id != other.message_id
    assert first.message_id.endswith("@derived.invalid>")
    assert "no message id, one was derived" in first.warnings


@pytest.mark.parametrize(
    ("fields", "replied", "references"),
    [
        (["References: <a@x>", "References: <b@x>, <bad.\r\nrest@x>"], (), ("<a@x>", "<b@x>", "<bad.rest@x>")),
        (["In-Reply-To: <a@x> <b@x>"], ("<a@x>", "<b@x>"), ()),
        (["In-Reply-To: <a@x>", "References: <a@x> <no-at-sign>"], ("<a@x>",), ("<a@x>", "<no-at-sign>")),
        (["In-Reply-To: Your message of Monday"], (), ()),
        (["References: <a@x>\r\n\t<b@x>\r\n <a@x>"], (), ("<a@x>", "<b@x>")),
    ],
)
def test_ids_are_found(fields: list[str], replied: tuple[str, ...], references: tuple[str, ...]) -> None:
    read = read_mail(mail(*fields))
    assert (read.in_reply_to, read.references) == (replied, references)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("=?utf-8?q?Doe=2C_John?= <j@example.com>", [("Doe, John", "j@example.com")]),
        ('"Doe, John" <j@x.example>, k@x.example', [("Doe, John", "j@x.example"), ("", "k@x.example")]),
        ("Team: a@x, b@x;, c@x", [("", "a@x"), ("", "b@x"), ("", "c@x")]),
        ("undisclosed-recipients:;", []),
        ("Doe, John <j@x>", [("Doe, John", "j@x")]),
        ("a@x; b@x", [("", "a@x"), ("", "b@x")]),
        ("Ada <a@x>; Bob <b@x>;", [("Ada", "a@x"), ("Bob", "b@x")]),
        (", a@x, b@x", [("", "a@x"), ("", "b@x")]),
        ("a@x,\nb@x", [("", "a@x"), ("", "b@x")]),
        ("a@X.Example (Ada (the first))", [("Ada (the first)", "a@x.example")]),
        ('"\\"Ada\\" Lovelace" <a@x>', [('Ada" Lovelace', "a@x")]),
        ('"john doe"@x', [("", '"john doe"@x')]),
        ("<@relay.example:a@x>", [("", "a@x")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ('<"">', []),
        ("Ada <a@x", [("Ada", "a@x")]),
        ("=?utf-8?q?a=40b=2Ec?=", []),
        ("müller@example.com", [("", "müller@example.com")]),
    ],
)
def test_lists_of_addresses_are_read(to: str, expected: list[tuple[str, str]]) -> None:
    assert people(read_mail(mail(f"To: {to}")).to) == expected


def test_raw_bytes_of_a_head_are_text() -> None:
    read = read_mail(mail(b"From: M\xfcller <m@example.com>", b"To: J\xfcrgen <j@example.com>"))
    assert read.sender == Address("Müller", "m@example.com")
    assert people(read.to) == [("Jürgen", "j@example.com")]
    json.dumps(read.sender.name, ensure_ascii=False).encode()


def test_more_addresses_than_an_activity_has_parties_are_left_out() -> None:
    read = read_mail(mail("To: " + ", ".join(f"a{number}@x" for number in range(600))))
    assert len(read.to) == 500
    assert "more than 500 addresses" in read.warnings


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("Mon, 05 Jan 2026 10:00:00 +0100", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("1 Jan 1969 10:00:00 +0000", None),
        ("Mon, 05 Jan 2026 10:00:00 -0000", datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ("5 Jan 26 10:00 GMT", datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ("Tue, 32 Foo 2025 99:99", None),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("", None),
        ("99999999999999999999999", None),
    ],
)
def test_a_date_that_cannot_be_read_is_none(written: str, date: datetime | None) -> None:
    read = read_mail(mail(f"Date: {written}"))
    assert read.date == date
    assert ("no date that can be read" in read.warnings) == (date is None)


def test_what_is_missing_is_empty() -> None:
    read = read_mail(b"To: a@x\r\n\r\nhello")
    assert (read.subject, read.sender, read.date, read.text) == ("", None, None, "hello")
    assert people(read_mail(mail('Reply-To: <"">', "Subject:")).reply_to) == []


def test_a_head_without_an_empty_line_ends_where_text_begins() -> None:
    read = read_mail(b"From: a@x\nSubject: Hi\nHow are you?\n")
    assert (read.subject, read.text) == ("Hi", "How are you?\n")
    assert "the head ends without an empty line" in read.warnings


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("ks_c_5601-1987", "cp949", "햏햏 견적을 부탁드립니다"),
        ("shift_jis", "cp932", "①髙橋です"),
        ("gb2312", "gb18030", "朱镕基，您好 €"),
        ("big5", "big5hkscs", "您好，請報價"),
        ("iso-8859-1", "cp1252", "“quoted” – 5 €"),
        ("us-ascii", "utf-8", "schön"),
        ("utf8", "utf-8", "schön"),
        ("iso-2022-jp", "iso2022_jp", "お問い合わせありがとう"),
        ("koi8-r", "koi8-r", "Привет"),
        ("", "iso2022_jp", "お問い合わせありがとう"),
        ("", "utf-8", "schön"),
        ("", "cp1252", "schön"),
        ("iso-2022-jp", "utf-8", "ほげ"),
    ],
)
def test_a_text_is_decoded(charset: str, codec: str, text: str) -> None:
    kind = f"Content-Type: text/plain; charset={charset}" if charset else "Content-Type: text/plain"
    assert read_mail(mail(kind, "Content-Transfer-Encoding: 8bit", body=text.encode(codec))).text == text


def test_circled_digits_of_japanese_windows_are_read() -> None:
    body = b"\x1b$B-!\x1b(B and \x1b$B8+\x1b(B"
    assert read_mail(mail("Content-Type: text/plain; charset=iso-2022-jp", body=body)).text == "① and 見"


@pytest.mark.parametrize("charset", ["x-unknown", "invalid-charset", "base64", "unicode_escape", "idna", "\x00"])
def test_an_unknown_charset_is_a_warning(charset: str) -> None:
    read = read_mail(mail(f"Content-Type: text/plain; charset={charset}"))
    assert read.text == "hello\n"
    assert any("charset" in one for one in read.warnings) or not charset.strip("\x00")


def test_uuencode_is_decoded() -> None:
    body = b"begin 644 a.txt\r\n" + binascii.b2a_uu(b"offer of today") + b"`\r\nend\r\n"
    assert (
        read_mail(mail("Content-Type: text/plain", "Content-Transfer-Encoding: x-uuencode", body=body)).text
        == "offer of today"
    )


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("filename*0*=UTF-8''%E2%98; filename*1*=%83.txt", "☃.txt"),
        ("filename*0*=UTF-8''%e2%82%ac; filename*1*=%e2%82%ac", "€€"),
        ("filename*0*=UTF-8''a%20b; filename*1=\"100%41.txt\"", "a b100%41.txt"),
        ("filename*0*=ISO-8859-1''%E9; filename*1*=%E8.txt", "éè.txt"),
        ("filename*=utf-8''%E4%BC%9A%E7%A4%BE.pdf; filename=fallback.pdf", "会社.pdf"),
        ('filename="=?utf-8?q?=C3=BCber.pdf?="', "über.pdf"),
        ("filename=my offer.pdf", "my offer.pdf"),
        ('filename="a;b.txt"', "a;b.txt"),
    ],
)
def test_names_of_files_are_decoded(disposition: str, name: str) -> None:
    kind, body = multipart("mixed", [part("application/pdf", "x", f"Content-Disposition: attachment; {disposition}")])
    assert named(read_mail(mail(kind, body=body))) == [name]


def test_a_long_name_in_both_forms_is_one_name() -> None:
    name = "見積書の最終版をお送りします.pdf"
    pieces = "".join(f"%{byte:02X}" for byte in name.encode())
    both = (
        f"Content-Disposition: attachment;\r\n filename*0*=utf-8''{pieces[:60]};\r\n filename*1*={pieces[60:]}",
        f'X-Name: "=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="',
    )
    word = both[1].removeprefix("X-Name: ")
    kind, body = multipart("mixed", [part(f"application/pdf; name={word}", "x", both[0])])
    assert named(read_mail(mail(kind, body=body))) == [name]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        (r"..\..\evil.exe", "evil.exe"),
        ("a\0.exe", "a.exe"),
        ("CON.txt", "_CON.txt"),
        ("...", "application-1.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
    ],
)
def test_names_of_files_are_harmless(sent: str, kept: str) -> None:
    quoted = sent.replace("\\", "\\\\")
    kind, body = multipart(
        "mixed", [part("application/pdf", "x", f'Content-Disposition: attachment; filename="{quoted}"')]
    )
    assert named(read_mail(mail(kind, body=body))) == [kept]


def test_a_long_name_keeps_its_extension() -> None:
    field = f'Content-Disposition: attachment; filename="{"あ" * 400}.txt"'
    [name] = named(read_mail(mail(*multipart_of(part("text/plain", "x", field)))))
    assert name.endswith(".txt")
    assert len(name.encode()) <= 255


def multipart_of(*parts: bytes) -> tuple[str, bytes]:
    kind, body = multipart("mixed", parts)
    return kind, body


# -- parts ------------------------------------------------------------------------------------------------------------


def test_a_text_has_two_versions_and_its_picture_is_inline() -> None:
    alternative, versions = multipart(
        "alternative", [part("text/plain", "hi"), part("text/html", '<img src="cid:p1">')], "alt"
    )
    related, shown = multipart(
        "related",
        [
            alternative.encode() + b"\r\n\r\n" + versions,
            part("image/png", "PNG", "Content-ID: <p1>", "Content-Transfer-Encoding: 8bit"),
        ],
        "rel",
    )
    kind, body = multipart("mixed", [related.encode() + b"\r\n\r\n" + shown, part("application/pdf", "PDF")])
    read = read_mail(mail(kind, body=body))
    assert (read.text, read.html) == ("hi", '<img src="cid:p1">')
    assert [(one.name, one.content_id, one.inline, one.content) for one in read.attachments] == [
        ("image-1.png", "p1", True, b"PNG"),
        ("application-2.pdf", "", False, b"PDF"),
    ]


def test_a_forwarded_message_is_one_file_with_its_bytes() -> None:
    inner = EmailMessage()
    inner["Subject"] = "Our offer"
    inner.set_content("see the picture")
    inner.add_attachment(b"P" * 2000, maintype="image", subtype="png", filename="inner.png", cid="<c1>")
    raw = inner.as_bytes().replace(b"\n", b"\r\n")
    kind, body = multipart("mixed", [part("text/plain", "fyi"), part("message/rfc822", raw)])
    [only] = read_mail(mail(kind, body=body)).attachments
    assert (only.name, only.content_type, only.content) == ("Our offer.eml", "message/rfc822", raw)


def test_a_signed_mail_shows_what_was_signed() -> None:
    alternative, versions = multipart("alternative", [part("text/plain", "hi"), part("text/html", "<p>hi</p>")], "alt")
    mixed, inside = multipart(
        "mixed",
        [alternative.encode() + b"\r\n\r\n" + versions, part("text/x-c", "int", "Content-Disposition: inline")],
        "mix",
    )
    kind, body = multipart(
        "signed", [mixed.encode() + b"\r\n\r\n" + inside, part("application/pkcs7-signature; name=smime.p7s", "S")]
    )
    read = read_mail(mail(kind, body=body))
    assert (read.text, read.html) == ("hi", "<p>hi</p>")
    assert named(read)[1:] == ["smime.p7s"]


def test_a_boundary_without_quotes_may_hold_equals_signs() -> None:
    body = b"--=_a=b==\r\n\r\nhi\r\n--=_a=b==--\r\n"
    assert read_mail(mail("Content-Type: multipart/mixed; boundary==_a=b==", body=body)).text == "hi"


@pytest.mark.parametrize("declared", ["", "; boundary=other"])
def test_a_missing_boundary_is_found(declared: str) -> None:
    _, body = multipart("mixed", [part("text/plain", "hi")])
    read = read_mail(mail(f"Content-Type: multipart/mixed{declared}", body=body))
    assert read.text == "hi"
    assert "a boundary is missing or wrong" in read.warnings


def test_a_mail_that_breaks_off_keeps_what_arrived() -> None:
    kind, body = multipart("mixed", [part("text/plain", "hi"), part("application/pdf", "P" * 100)])
    read = read_mail(mail(kind, body=body[:-40]))
    assert read.text == "hi"
    assert read.attachments[0].content.startswith(b"PPP")
    assert "a multipart has no end" in read.warnings


def test_tnef_is_kept_and_noted() -> None:
    tnef = b"\x78\x9f\x3e\x22" + bytes(56)
    encoded = base64.b64encode(tnef).decode()
    kind, body = multipart(
        "mixed", [part("application/ms-tnef; name=winmail.dat", encoded, "Content-Transfer-Encoding: base64")]
    )
    read = read_mail(mail(kind, body=body))
    assert [(one.name, one.content) for one in read.attachments] == [("winmail.dat", tnef)]
    assert any(one.startswith("tnef") for one in read.warnings)


def test_an_invitation_is_found_and_kept() -> None:
    alternative, body = multipart(
        "alternative", [part("text/plain", "come"), part("text/calendar; method=request", "BEGIN:VCALENDAR")]
    )
    read = read_mail(mail(alternative, body=body))
    assert (read.text, read.calendar, read.calendar_method) == ("come", b"BEGIN:VCALENDAR", "REQUEST")
    assert len(read.attachments) == 1


def test_nesting_is_bounded() -> None:
    raw = part("text/plain", "deep")
    for depth in range(200):
        kind, body = multipart("mixed", [raw], f"b{depth}")
        raw = kind.encode() + b"\r\n\r\n" + body
    read = read_mail(b"From: a@x\r\n" + raw)
    assert "too many parts, or nested too deep" in read.warnings
    wide, many = multipart("mixed", [part("text/plain", "x")] * 1000)
    assert "too many parts, or nested too deep" in read_mail(mail(wide, body=many)).warnings


def test_text_and_html_one_after_the_other_are_both_shown() -> None:
    kind, body = multipart("mixed", [part("text/html", "<b>hi</b>"), part("text/plain", "-- <list>")])
    read = read_mail(mail(kind, body=body))
    assert (read.text, read.html) == (None, "<b>hi</b>\n<pre>-- &lt;list&gt;</pre>")


# -- anything ---------------------------------------------------------------------------------------------------------

KIND, BODY = multipart(
    "mixed",
    [
        part("text/plain; charset=iso-2022-jp", "お問い合わせ".encode("iso2022_jp")),
        part("text/html; charset=utf-8", "<p>ü</p>", "Content-Transfer-Encoding: base64"),
        part("application/pdf", "x", "Content-Disposition: attachment; filename*0*=UTF-8''%E2%98; filename*1*=%83.txt"),
        part(
            "message/delivery-status",
            "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@x\r\nAction: failed\r\nStatus: 5.1.1",
        ),
        part("message/rfc822", "Subject: =?utf-8?q?in?=\r\n\r\ninner"),
    ],
)
WHOLE = mail(
    'To: Team: =?utf-8?q?a?= <a@x>, "b" <b@x>;, c@x',
    "References: <a@x> <b@x>",
    "Subject: =?utf-8?B?V8M=?=",
    KIND,
    body=BODY,
)


def assert_readable(raw: bytes) -> None:
    read = read_mail(raw)
    texts = [
        read.message_id,
        read.subject,
        read.text or "",
        read.html or "",
        *read.warnings,
        *read.references,
        *read.reached,
    ]
    texts += [text for one in (*read.to, *read.cc, *read.reply_to) for text in (one.name, one.address)]
    texts += [text for one in read.attachments for text in (one.name, one.content_type, one.content_id)]
    whole = "\n".join(texts)
    whole.encode()
    assert "\0" not in whole
    assert all(len(one.name.encode()) <= 255 and one.name for one in read.attachments)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600))
def test_random_bytes_are_read(raw: bytes) -> None:
    assert_readable(raw)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.binary(max_size=8)), min_size=1, max_size=8)
)
def test_damaged_mails_are_read(damages: list[tuple[int, int, bytes]]) -> None:
    raw = WHOLE
    for at, size, more in damages:
        raw = raw[:at] + more + raw[at + size :]
    assert_readable(raw)
