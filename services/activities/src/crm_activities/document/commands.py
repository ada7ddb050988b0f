"""Makes the document of a letter or a fax, and attaches it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from crm_activities.attachment.commands import attach, remove_attachments
from crm_activities.attachment.model import Attachment
from crm_activities.document.domain import Page, filled, wide_font
from crm_activities.document.pdf import pdf_of
from crm_activities.document.schemas import DocumentRequest
from crm_kit.errors import InvalidValue, NotFound
from crm_kit.records.patching import require_status
from crm_kit.store.record import OwnedRecord
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork


class Correspondence(Protocol):
    """What letters and faxes have in common."""

    subject: Any
    description: Any
    parties: Any
    document_id: Any


def lines_of(address: Mapping[str, Any] | None) -> list[str]:
    """Return the lines of a postal address as an envelope shows them."""
    if address is None:
        return []
    town = " ".join(filter(None, (address.get("postal_code"), address.get("city"))))
    parts = (address.get("line1"), address.get("line2"), town, address.get("region"), address.get("country"))
    return [part for part in parts if part]


async def make_document(
    uow: UnitOfWork, record: Any, body: DocumentRequest, place: Sequence[str], cover: str | None = None
) -> UUID:
    """Make the document of a locked letter or fax, attach it in place of the one before, and return its id.

    ``place`` are the lines below the recipient's name. 409 unless the record is open, 422 ``text-required`` without a text.
    """
    require_status(record, "open")
    template = body.text or record.description
    if not template:
        raise InvalidValue("/text", "text-required", "Send a text, or set the description first.")
    page = _page(uow, record, template, body, place, cover)
    content = await asyncio.to_thread(pdf_of, page)
    made = await attach(uow, _owned(record), _once(content), f"{record.subject}.pdf")
    await _remove(uow, record.document_id)
    return made.id


def _page(
    uow: UnitOfWork,
    record: Correspondence,
    template: str,
    body: DocumentRequest,
    place: Sequence[str],
    cover: str | None,
) -> Page:
    sender = uow.runtime.directory.organization.name or ""
    names = {role: _name(record, role) for role in ("from", "to")}
    values = {
        "recipient": names["to"],
        "sender": names["from"] or sender,
        "organization": sender,
        "subject": record.subject,
        "date": today(uow).isoformat(),
    }
    text, front = filled(template, values), filled(cover, values) if cover else None
    recipient = tuple(line for line in (names["to"], *place) if line)
    everything = "\n".join((sender, *recipient, record.subject, text, front or ""))
    return Page(sender, recipient, values["date"], record.subject, text, front, body.paper, wide_font(everything))


def _name(record: Correspondence, role: str) -> str:
    """Return the name of the first party with this role, else its address."""
    party = next((one for one in record.parties if one["role"] == role), None)
    return "" if party is None else str(party["name"] or party["address"] or "")


def _owned(record: Any) -> OwnedRecord:
    assert isinstance(record, OwnedRecord)
    return record


async def _remove(uow: UnitOfWork, attachment_id: UUID | None) -> None:
    if attachment_id is None:
        return
    try:
        before = await uow.load(Attachment, attachment_id)
    except NotFound:
        return
    await remove_attachments(uow, [before])


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
