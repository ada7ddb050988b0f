"""What a message says: its text, its HTML, and its attached files."""

import html as markup
import re
from dataclasses import dataclass, field
from typing import Final

from crm_activities.mail.reading.charsets import decode
from crm_activities.mail.reading.filenames import file_name
from crm_activities.mail.reading.headers import split_head
from crm_activities.mail.reading.parts import Part

_META: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_LINES: Final = re.compile(r"\r\n?")
TNEF: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})


@dataclass(frozen=True, slots=True)
class ReadAttachment:
    """A file of a mail. ``inline`` says that its HTML shows it (`cid:`)."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False


@dataclass(slots=True)
class Body:
    """What the parts say together. ``text`` or ``html`` is None if a part of the mail has no such version."""

    text: str | None = None
    html: str | None = None
    attachments: list[ReadAttachment] = field(default_factory=list)
    calendar: bytes | None = None
    calendar_method: str = ""


@dataclass(slots=True)
class _Said:
    text: str | None
    html: str | None


class BodyReader:
    """Walks the parts of a message once."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings
        self._body = Body()

    def read(self, message: Part) -> Body:
        """Return what the message says."""
        said = self._said(message, related=False)
        body = self._body
        body.text, body.html = (said.text, said.html) if said is not None else (None, None)
        shown = body.html or ""
        body.attachments = [
            one
            if not one.content_id or one.inline == (f"cid:{one.content_id}" in shown)
            else ReadAttachment(
                one.name, one.content_type, one.content, one.content_id, f"cid:{one.content_id}" in shown
            )
            for one in body.attachments
        ]
        return body

    def _said(self, part: Part, *, related: bool) -> _Said | None:
        """Return what a part says; None if it is a file."""
        if not part.is_multipart:
            return self._leaf(part, related=related)
        kind = part.type.value
        if kind == "multipart/alternative":
            return _alternative([self._said(one, related=False) for one in part.parts])
        inner = [self._said(one, related=kind == "multipart/related") for one in part.parts]
        return _together([one for one in inner if one is not None])

    def _leaf(self, part: Part, *, related: bool) -> _Said | None:
        kind = part.type.value
        if kind == "text/calendar" and self._body.calendar is None:
            self._body.calendar = part.content
            self._body.calendar_method = part.type.parameters.get("method", "").upper()
        attached = part.disposition.value == "attachment" or bool(part.filename)
        if kind in ("text/plain", "text/html") and not attached:
            text = self._text(part)
            return _Said(text, None) if kind == "text/plain" else _Said(None, text)
        self._body.attachments.append(self._file(part, related=related))
        return None

    def _text(self, part: Part) -> str:
        label = part.type.parameters.get("charset", "")
        if not label and part.type.value == "text/html" and (named := _META.search(part.content[:4096])):
            label = named.group(1).decode("ascii")
        text, warning = decode(part.content.removeprefix(b"\xef\xbb\xbf"), label or None)
        if warning:
            self._warnings.append(warning)
        return _LINES.sub("\n", text)

    def _file(self, part: Part, *, related: bool) -> ReadAttachment:
        kind, number = part.type.value, len(self._body.attachments) + 1
        forwarded = kind == "message/rfc822"
        name = self._message_name(part, number) if forwarded else file_name(part.filename, kind, number)
        if kind in TNEF:
            self._warnings.append("tnef: the files inside winmail.dat are not unpacked")
        # A picture beside the text, without a disposition and with an id, is shown by the HTML.
        inline = bool(part.content_id) and (related or part.disposition.value != "attachment")
        return ReadAttachment(name, kind[:100], part.content, part.content_id[:200], inline)

    def _message_name(self, part: Part, number: int) -> str:
        if part.filename:
            return file_name(part.filename, "message/rfc822", number)
        headers, _ = split_head(part.content, 0, len(part.content), [])
        subject = headers.text("subject", []).replace("/", "_").replace("\\", "_")
        return file_name(f"{subject}.eml" if subject else "", "message/rfc822", number)


def _alternative(versions: list[_Said | None]) -> _Said | None:
    """The last version of each kind, which is the one the sender prefers (RFC 2046 5.1.4)."""
    said = [one for one in versions if one is not None]
    if not said:
        return None
    texts = [one.text for one in said if one.text is not None]
    htmls = [one.html for one in said if one.html is not None]
    return _Said(texts[-1] if texts else None, htmls[-1] if htmls else None)


def _together(said: list[_Said]) -> _Said | None:
    """One after the other. A text beside HTML is shown in both; without a text of a part there is none of the whole."""
    if len(said) < 2:
        return said[0] if said else None
    texts = [one.text for one in said]
    text = None if None in texts else "\n".join(one for one in texts if one)
    if all(one.html is None for one in said):
        return _Said(text, None)
    shown = (one.html if one.html is not None else f"<pre>{markup.escape(one.text or '')}</pre>" for one in said)
    return _Said(text, "\n".join(shown))
