"""Turns an e-mail into the bytes of a message (RFC 5322, MIME).

Its structure is mixed(related(alternative(plain, html), images), attachments), without the levels that a mail does not need. So
programs show images inside the text and attachments below it.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import format_datetime
from typing import Any, Final

from crm_activities.mail.headers import in_one_line
from crm_activities.mail.ids import ascii_domain
from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.email import Automatic

LONGEST_PIECE: Final = 45
"""The octets of an encoded word of at most 75 characters: 12 are around it, and base64 makes 4 of 3."""
AUTOMATIC: Final = {Automatic.AUTO_GENERATED: "auto-generated", Automatic.AUTO_REPLIED: "auto-replied"}


class CannotBeWritten(Exception):
    """The mail has no form in which it could be sent. The text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """An attachment, or an image that the HTML shows by ``cid:``."""

    content: bytes
    type: str
    """Its media type, such as ``image/png``."""
    name: str
    content_id: str | None = None
    """The id without angle brackets by which the HTML names it; None for an attachment."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a message is made of."""

    message_id: str
    subject: str
    sender: str
    sender_name: str | None
    parties: Sequence[dict[str, Any]]
    at: datetime
    text: str | None = None
    html: str | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    automatic: str = Automatic.NO
    calendar: str | None = None
    """An iCalendar object with its METHOD. It is the last alternative (RFC 6047 §2.4)."""
    parts: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message that can be sent."""

    content: bytes
    utf8: bool
    """Whether the server must support SMTPUTF8 (RFC 6531)."""


def wire_address(address: str) -> str:
    """Return an address for a server: its domain in ASCII."""
    local, _, _ = address.rpartition("@")
    return f"{local}@{ascii_domain(address)}"


def compose(mail: Outgoing) -> Message:
    """Return the message. Recipients of ``bcc`` are not in it. Raises CannotBeWritten."""
    named = [party for party in mail.parties if party["role"] in (PartyRole.TO, PartyRole.CC)]
    utf8 = not all(one.isascii() for one in [_local(mail.sender), *(_local(party["address"]) for party in named)])
    policy = (SMTPUTF8 if utf8 else SMTP).clone(cte_type="8bit" if utf8 else "7bit", raise_on_defect=False)
    try:
        written = _message(mail, policy).as_bytes(policy=policy)
        return Message(_id_headers(mail) + _own_headers(mail, named) + written, utf8)
    except (ValueError, UnicodeError, LookupError) as error:
        raise CannotBeWritten(f"The mail cannot be written: {error}") from error


def _local(address: str) -> str:
    return address.rpartition("@")[0]


def _message(mail: Outgoing, policy: "EmailPolicy[Any]") -> EmailMessage:
    message = EmailMessage(policy=policy)
    if mail.automatic in AUTOMATIC:
        message["Auto-Submitted"] = AUTOMATIC[Automatic(mail.automatic)]
        message["X-Auto-Response-Suppress"] = "All"
    message["MIME-Version"] = "1.0"
    _fill(message, mail, policy)
    return message


def _own_headers(mail: Outgoing, named: Sequence[dict[str, Any]]) -> bytes:
    """Return the headers of the mail itself. The library cuts encoded words too late, and Message-IDs in the middle."""
    lines = [f"From: {_address(mail.sender, mail.sender_name)}"]
    for role, header in ((PartyRole.TO, "To"), (PartyRole.CC, "Cc")):
        addresses = [_address(one["address"], one["name"]) for one in named if one["role"] == role]
        if addresses:
            lines.append(f"{header}: " + ",\r\n ".join(addresses))
    if not named:
        lines.append("To: undisclosed-recipients:;")
    lines += [f"Subject: {_words(in_one_line(mail.subject, 200))}", f"Date: {format_datetime(mail.at)}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _words(text: str) -> str:
    """Return a text as it is, or as encoded words of at most 75 characters, one in a line (RFC 2047 §2)."""
    if text.isascii() and "=?" not in text:
        return text
    words, piece = [], ""
    for one in text:
        if len((piece + one).encode()) > LONGEST_PIECE:
            words.append(piece)
            piece = ""
        piece += one
    words.append(piece)
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word.encode()).decode()}?=" for word in words)


def _id_headers(mail: Outgoing) -> bytes:
    lines = [f"Message-ID: {mail.message_id}"]
    if mail.in_reply_to and mail.in_reply_to.isascii():
        lines.append(f"In-Reply-To: {mail.in_reply_to}")
    # Ids that others wrote against the rules cannot be repeated without breaking them.
    if references := [one for one in mail.references if one.isascii()]:
        lines.append("References: " + "\r\n ".join(_folded(references)))
    return "".join(f"{line}\r\n" for line in lines).encode()


def _folded(ids: Iterable[str]) -> list[str]:
    """Return Message-IDs in lines, each as long as a reader likes it, one long id in a line of its own."""
    lines: list[str] = []
    for one in ids:
        if lines and len(lines[-1].encode()) + 1 + len(one.encode()) <= 78:
            lines[-1] += f" {one}"
        else:
            lines.append(one)
    return lines


def _address(address: str, name: str | None) -> str:
    """Return an address with its name in one line, so that the name cannot add a header."""
    shown, spec = in_one_line(name or "", 200), wire_address(address)
    if not shown:
        return spec
    quoted = '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{quoted if shown.isascii() and '=?' not in shown else _words(shown)} <{spec}>"


def _fill(message: EmailMessage, mail: Outgoing, policy: "EmailPolicy[Any]") -> None:
    images = [one for one in mail.parts if one.content_id and mail.html and f"cid:{one.content_id}" in mail.html]
    attached = [one for one in mail.parts if one not in images]
    body = _alternative(mail, policy)
    if images:
        body = _container("related", [body, *(_image(one, policy) for one in images)], policy)
    if attached:
        body = _container("mixed", [body, *(_attachment(one, policy) for one in attached)], policy)
    for name, value in body.items():
        if name.lower() != "mime-version":
            message[name] = value
    message.set_payload(body.get_payload())


def _alternative(mail: Outgoing, policy: "EmailPolicy[Any]") -> MIMEPart:
    plain = MIMEPart(policy=policy)
    plain.set_content(mail.text or "", subtype="plain", charset="utf-8")
    forms = [plain]
    if mail.html is not None:
        html = MIMEPart(policy=policy)
        html.set_content(mail.html, subtype="html", charset="utf-8")
        forms.append(html)
    if mail.calendar is not None:
        event = MIMEPart(policy=policy)
        event.set_content(mail.calendar, subtype="calendar", charset="utf-8")
        event.set_param("method", method_of(mail.calendar))
        forms.append(event)
    return _container("alternative", forms, policy) if len(forms) > 1 else plain


def method_of(calendar: str) -> str:
    """Return the METHOD of an iCalendar object, which the media type repeats (RFC 6047 §2.4). Raises ValueError."""
    found = re.search(r"^METHOD:([A-Z]+)\s*$", calendar, re.MULTILINE)
    if found is None:
        raise ValueError("the calendar object has no METHOD")
    return found[1]


def _container(kind: str, parts: Sequence[MIMEPart], policy: "EmailPolicy[Any]") -> MIMEPart:
    made = MIMEPart(policy=policy)
    made["Content-Type"] = f"multipart/{kind}"
    if kind == "related":
        # RFC 2387 §3.1: the type of the part that the others belong to.
        made.set_param("type", parts[0].get_content_type())
    for part in parts:
        made.attach(part)
    return made


def _image(part: Part, policy: "EmailPolicy[Any]") -> MIMEPart:
    made = _content(part, policy, "inline")
    made["Content-ID"] = f"<{part.content_id}>"
    return made


def _attachment(part: Part, policy: "EmailPolicy[Any]") -> MIMEPart:
    return _content(part, policy, "attachment")


def _content(part: Part, policy: "EmailPolicy[Any]", disposition: str) -> MIMEPart:
    kind, _, subtype = part.type.partition("/")
    if not subtype or kind in ("multipart", "message"):
        kind, subtype = "application", "octet-stream"
    made = MIMEPart(policy=policy)
    made.set_content(
        part.content,
        maintype=kind,
        subtype=subtype,
        cte="base64",
        disposition=disposition,
        filename=in_one_line(part.name, 255) or "attachment",
    )
    return made
