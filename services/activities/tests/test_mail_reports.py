"""Automatic mail, bounces and complaints are told apart; quoted text is split off without loss."""

import pytest

from crm_activities.mail.reading.automatic import Automatic
from crm_activities.mail.reading.quoted import reply_of
from crm_activities.mail.reading.reader import read_mail
from crm_activities.mail.reading.reports import ReportKind

from .mails import mail, multipart, part

OURS = "Message-ID: <o1@us.example>\r\nSubject: Offer\r\n\r\nhello"


@pytest.mark.parametrize(
    ("fields", "automatic"),
    [
        ([], Automatic.NO),
        (["Auto-Submitted: no"], Automatic.NO),
        (["Precedence: first-class"], Automatic.NO),
        (["Auto-Submitted: auto-replied (vacation)"], Automatic.REPLIED),
        (["Auto-Submitted: auto-generated"], Automatic.GENERATED),
        (["Return-Path: <>"], Automatic.REPLIED),
        (["Return-Path: <ada@example.com>"], Automatic.NO),
        (["Precedence: bulk"], Automatic.GENERATED),
        (["Precedence: auto_reply"], Automatic.REPLIED),
        (["X-Autoreply: yes"], Automatic.REPLIED),
        (["X-Auto-Response-Suppress: DR, OOF, AutoReply"], Automatic.GENERATED),
        (["List-Id: <news.example.com>"], Automatic.GENERATED),
        (["From: Mail Delivery <MAILER-DAEMON@example.com>"], Automatic.GENERATED),
    ],
)
def test_automatic_mail_is_told_apart(fields: list[str], automatic: Automatic) -> None:
    read = read_mail(mail(*fields))
    assert (read.automatic, read.report) == (automatic, None)


def bounce(action: str, status: str = "5.1.1", returned: str = "message/rfc822") -> bytes:
    told = (
        "Reporting-MTA: dns; mx.example.com\r\n\r\n"
        "Final-Recipient: rfc822; Ada@Example.com\r\n"
        f"Action: {action}\r\nStatus: {status} (bad mailbox)\r\nDiagnostic-Code: smtp; 550 no such user\r\n"
    )
    kind, body = multipart(
        "report",
        [part("text/plain", "It failed."), part("message/delivery-status", told), part(returned, OURS)],
        more="; report-type=delivery-status",
    )
    return mail(
        "From: MAILER-DAEMON@mx.example.com", "Return-Path: <>", "Auto-Submitted: auto-replied", kind, body=body
    )


@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_a_bounce_names_the_mail_and_the_recipient(returned: str) -> None:
    report = read_mail(bounce("failed", returned=returned)).report
    assert report is not None
    assert (report.kind, report.original_ids) == (ReportKind.BOUNCE, ("<o1@us.example>",))
    [one] = report.recipients
    assert (one.address, one.status, one.permanent) == ("Ada@example.com", "5.1.1", True)
    assert "no such user" in one.diagnostic


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_a_mail_that_may_still_arrive_did_not_bounce(action: str) -> None:
    read = read_mail(bounce(action, "4.4.1"))
    assert (read.report, read.automatic) == (None, Automatic.REPLIED)


def test_a_failure_that_may_pass_is_not_permanent() -> None:
    report = read_mail(bounce("failed", "4.2.2")).report
    assert report is not None
    assert not report.recipients[0].permanent


def test_a_bounce_in_words_alone_is_recognised() -> None:
    text = "The following address failed:\r\n ada@example.com: 550 5.7.1 refused\r\n\r\nMessage-ID: <o1@us.example>\r\n"
    head = (
        "From: Mail Delivery <mailer-daemon@example.com>",
        "Subject: Mail delivery failed",
        "X-Failed-Recipients: ada@example.com",
    )
    report = read_mail(mail(*head, body=text)).report
    assert report is not None
    assert (report.recipients[0].address, report.recipients[0].status) == ("ada@example.com", "5.7.1")
    assert report.original_ids == ("<o1@us.example>",)


def test_an_absence_note_is_no_bounce() -> None:
    read = read_mail(mail("Return-Path: <>", "Auto-Submitted: auto-replied", "Subject: Delivery failure? I am away"))
    assert (read.report, read.automatic) == (None, Automatic.REPLIED)


def complaint(kind_of_feedback: str) -> bytes:
    told = f"Feedback-Type: {kind_of_feedback}\r\nUser-Agent: Box/1\r\nVersion: 1\r\nOriginal-Rcpt-To: <ada@example.com>\r\n"
    kind, body = multipart(
        "report",
        [part("text/plain", "spam"), part("message/feedback-report", told), part("message/rfc822", OURS)],
        more="; report-type=feedback-report",
    )
    return mail("From: fbl@example.com", kind, body=body)


def test_a_complaint_names_the_mail_and_who_complained() -> None:
    report = read_mail(complaint("abuse")).report
    assert report is not None
    assert (report.kind, report.original_ids, report.recipients[0].address) == (
        *(ReportKind.COMPLAINT, ("<o1@us.example>",), "ada@example.com"),
    )
    assert read_mail(complaint("not-spam")).report is None


HEAD = "From: Bob <bob@us.example>\nSent: Monday, 5 January 2026 10:00\nTo: Ada <ada@example.com>\nSubject: Offer\n\nThe offer.\n"


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Here they are:-\nVisa\nD Smith\n06/17", "Here they are:-\nVisa\nD Smith\n06/17"),
        ("ok\nOn Mon, 5 Jan 2026, A <a@x> wrote:\n\n\n> q\n", "ok"),
        ("On reflection, yes.\nOn 5 Jan 2026 Bob wrote:\n> q\n", "On reflection, yes."),
        # Gmail folds a long attribution.
        (
            "Yes please.\n\nOn Mon, Jan 5, 2026 at 10:00 AM Bob Example <\nbob@us.example> wrote:\n\n> The offer.\n> Bob\n",
            "Yes please.",
        ),
        # iPhone.
        (
            "Fine.\n\nSent from my iPhone\n\n> On 5 Jan 2026, at 10:00, Bob <bob@us.example> wrote:\n> \n> The offer.\n",
            "Fine.\n\nSent from my iPhone",
        ),
        # Outlook.
        (f"Agreed.\n\n-----Original Message-----\n{HEAD}", "Agreed."),
        (f"Agreed.\n\n________________________________\n{HEAD}", "Agreed."),
        (f"Agreed.\n\n{HEAD}", "Agreed."),
        ("Good.\n\nSubject: Offer\nFrom: Bob\nTo: Ada\nDate: 5 Jan 2026\n\nThe offer.\n", "Good."),
        ("Gut.\n\nVon: Bob\nGesendet: Montag, 5. Januar 2026\nAn: Ada\nBetreff: Angebot\n\nText\n", "Gut."),
        ("了解しました。\n\n差出人: 田中\n送信日時: 2026年1月5日\n宛先: 佐藤\n件名: 見積\n\n本文\n", "了解しました。"),
        ("好的。\n\n发件人: 王\n发送时间: 2026年1月5日\n收件人: 李\n主题: 报价\n\n正文\n", "好的。"),
        # Thunderbird below the quotation.
        ("On 05/01/2026 10:00, Bob wrote:\n> The offer.\n> Bob\n\nI agree.\n", "I agree."),
        # Yahoo does not mark what it quotes.
        (
            "Thanks!\n\n    On Monday, January 5, 2026, 10:00:00 AM GMT, Bob <bob@us.example> wrote:  \n \n The offer.\n",
            "Thanks!",
        ),
        ("Danke\n\nAm 05.01.26 um 10:00 schrieb Bob:\n> Angebot\n", "Danke"),
        # Answers between the lines need them.
        ("> one?\nyes\n> two?\nno\n", "> one?\nyes\n> two?\nno"),
        # A forward with nothing above is kept whole.
        (f"{HEAD}", HEAD.strip()),
        ("Prices:\nFrom: 10 EUR\nTo: 20 EUR\n", "Prices:\nFrom: 10 EUR\nTo: 20 EUR"),
        ("On the table he wrote:\nnothing", "On the table he wrote:\nnothing"),
        ("", ""),
    ],
)
def test_a_quotation_is_split_off_and_nothing_else(text: str, reply: str) -> None:
    assert reply_of(text) == reply
