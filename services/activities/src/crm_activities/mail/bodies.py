"""The body of a mail: cleaned, with a text version, its digest and its preview. And where it is kept."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from crm_activities.mail.html import clean_html, text_of
from crm_contracts.activities.email import PREVIEW
from crm_kit.work.uow import UnitOfWork

MOST_CHARACTERS: Final = 2_000_000
"""The most characters of each form of a body. More of a received mail is cut; its source has all of it."""

KEEP: Final = (
    "insert into email_body (email_id, html, text, reply_text, calendar) values ($1, $2, $3, $4, $5)"
    " on conflict (email_id) do update set html = excluded.html, text = excluded.text, reply_text = excluded.reply_text,"
    " calendar = excluded.calendar"
)


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it is stored: its HTML is clean, and where there is HTML, there is text."""

    html: str | None = None
    text: str | None = None
    reply_text: str | None = None
    calendar: str | None = None
    """An iCalendar object that is sent along as the last form of the body (RFC 6047)."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of its HTML and text; None for no body."""
        if self.html is None and self.text is None and self.calendar is None:
            return None
        return hashlib.sha256(f"{self.html or ''}\0{self.text or ''}{self.calendar or ''}".encode()).hexdigest()

    @property
    def preview(self) -> str | None:
        """The first characters of what the mail itself says, in one line."""
        words = re.sub(r"\s+", " ", (self.reply_text or self.text or "")[: PREVIEW * 4]).strip()
        return words[:PREVIEW] or None


def body_of(html: str | None, text: str | None, reply_text: str | None = None, calendar: str | None = None) -> Body:
    """Return a body with cleaned HTML. Its text is made from the HTML unless it is given."""
    kept = clean_html(html[:MOST_CHARACTERS]) if html and html.strip() else None
    plain = _lines(text) if text and text.strip() else None
    if plain is None and kept is not None:
        plain = text_of(kept) or None
    return Body(kept or None, plain, _lines(reply_text) if reply_text else None, calendar)


def _lines(text: str) -> str:
    return text[:MOST_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


async def read_body(uow: UnitOfWork, email_id: UUID) -> Body:
    """Return the body of a mail; an empty one if it has none."""
    found = await (await uow.connection()).exec_driver_sql(
        "select html, text, reply_text, calendar from email_body where email_id = $1", (email_id,)
    )
    row = found.one_or_none()
    return Body() if row is None else Body(*row)


async def keep_body(uow: UnitOfWork, email_id: UUID, body: Body) -> None:
    """Store the body of a mail, in the transaction that stores the mail."""
    await (await uow.transaction()).exec_driver_sql(
        KEEP, (email_id, body.html, body.text, body.reply_text, body.calendar)
    )
