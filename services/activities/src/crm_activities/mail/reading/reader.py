"""A received message as data. Whatever the bytes are, reading them gives a result and raises nothing.

What was guessed or left out is said by its warnings."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import category

from crm_activities.mail.reading.addresses import Address, addresses_of, normal_address
from crm_activities.mail.reading.automatic import Automatic, automatic_of
from crm_activities.mail.reading.bodies import BodyReader, ReadAttachment
from crm_activities.mail.reading.charsets import clean
from crm_activities.mail.reading.dates import date_of
from crm_activities.mail.reading.headers import Headers
from crm_activities.mail.reading.ids import derived_id, ids_of
from crm_activities.mail.reading.parts import Splitter
from crm_activities.mail.reading.reports import Report, report_of

LONGEST_SUBJECT: Final = 200
MOST_WARNINGS: Final = 50
LONGEST_WARNING: Final = 200
_REACHED: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to")
_IN_DERIVED_ID: Final = ("from", "to", "cc", "date", "subject")


@dataclass(frozen=True, slots=True)
class ReadMail:
    """What a message says. ``date`` is None if it cannot be read; the time at which it was received then stands in."""

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    subject: str
    sender: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    date: datetime | None
    text: str | None
    html: str | None
    attachments: tuple[ReadAttachment, ...]
    calendar: bytes | None
    calendar_method: str
    automatic: Automatic
    report: Report | None
    reached: tuple[str, ...]
    """The addresses at which it arrived, as the servers on its way noted them."""
    warnings: tuple[str, ...]


def read_mail(raw: bytes) -> ReadMail:
    """Read a message."""
    warnings: list[str] = []
    splitter = Splitter(raw, warnings)
    message, body_at = splitter.message()
    headers = message.headers
    if not headers.fields:
        warnings.append("no head")
    senders = addresses_of(headers.first("from"), warnings) or addresses_of(headers.first("sender"), warnings)
    sender = senders[0] if senders else None
    if sender is None:
        warnings.append("no sender")
    subject = _subject(headers, warnings)
    body = BodyReader(warnings).read(message)
    date = date_of(headers.first("date"))
    if date is None:
        warnings.append("no date that can be read")
    address = sender.address if sender else ""
    return ReadMail(
        message_id=_message_id(headers, raw[body_at:], warnings),
        in_reply_to=ids_of(headers.all("in-reply-to"), warnings),
        references=ids_of(headers.all("references"), warnings),
        subject=subject,
        sender=sender,
        reply_to=addresses_of(_list(headers, "reply-to"), warnings),
        to=addresses_of(_list(headers, "to"), warnings),
        cc=addresses_of(_list(headers, "cc"), warnings),
        bcc=addresses_of(_list(headers, "bcc"), warnings),
        date=date,
        text=body.text,
        html=body.html,
        attachments=tuple(body.attachments),
        calendar=body.calendar,
        calendar_method=body.calendar_method[:20],
        automatic=automatic_of(headers, message.type, address),
        report=report_of(message, headers, subject, address),
        reached=_reached(headers),
        warnings=_once(warnings),
    )


def _subject(headers: Headers, warnings: list[str]) -> str:
    subject = _printable(clean(headers.text("subject", warnings)))
    if len(subject) <= LONGEST_SUBJECT:
        return subject
    warnings.append(f"subject cut to {LONGEST_SUBJECT} characters")
    return subject[: LONGEST_SUBJECT - 1].rstrip() + "…"


def _printable(text: str) -> str:
    """The text on one line, without control characters."""
    return " ".join("".join(" " if category(char) in ("Cc", "Zl", "Zp") else char for char in text).split())


def _list(headers: Headers, name: str) -> str:
    return ", ".join(headers.all(name))


def _message_id(headers: Headers, body: bytes, warnings: list[str]) -> str:
    found = ids_of(headers.all("message-id"), warnings)
    if found:
        return found[0]
    warnings.append("no message id, one was derived")
    return derived_id((*(headers.first(name).encode("utf-8", "replace") for name in _IN_DERIVED_ID), body))


def _reached(headers: Headers) -> tuple[str, ...]:
    found = (normal_address(value) for name in _REACHED for value in headers.all(name))
    return tuple(dict.fromkeys(one for one in found if one))[:50]


def _once(warnings: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(clean(one)[:LONGEST_WARNING] for one in warnings))[:MOST_WARNINGS]
