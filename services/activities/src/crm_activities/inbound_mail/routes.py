"""The HTTP face of incoming mails, for operators."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_activities.inbound_mail import commands
from crm_activities.inbound_mail.model import InboundMail
from crm_activities.inbound_mail.schemas import InboundMailView
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/inbound-mails", tags=["incoming mails"], route_class=about(InboundMail))

MAILS = Listing(InboundMail, sortable=("created_at", "modified_at", "received_at"), default_sort="-received_at")

SOURCE = {"schema": {"type": "string", "format": "binary"}}
SOURCE_HEADERS = {
    "Content-Disposition": 'attachment; filename="mail.eml"',
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}


@router.get("", response_model=Page[InboundMailView], operation_id="list_inbound_mails")
@lists(MAILS)
async def list_inbound_mails(request: Request, uow: Uow) -> Response:
    """Mails as they arrived, the latest first: filter, sort, page.

    `status=unreadable` finds those that became no e-mail. Sort by received_at, created_at or modified_at.
    """
    return await list_records(uow, MAILS, request)


@router.post("/query", response_model=Page[InboundMailView], operation_id="query_inbound_mails")
async def query_inbound_mails(query: Query, uow: Uow) -> Response:
    """Incoming mails by a JSON filter with and, or, not."""
    return await query_records(uow, MAILS, query)


@router.get("/{mail_id}", response_model=InboundMailView, operation_id="get_inbound_mail")
async def get_inbound_mail(mail_id: UUID, request: Request, uow: Uow) -> Response:
    """One incoming mail, with its version as ETag."""
    return await read(uow, InboundMail, mail_id, request)


@router.get(
    "/{mail_id}/source",
    operation_id="get_inbound_mail_source",
    response_class=Response,
    responses={
        200: {"description": "The bytes of the mail as it arrived.", "content": {"application/octet-stream": SOURCE}}
    },
)
async def get_inbound_mail_source(mail_id: UUID, uow: Uow) -> Response:
    """The mail as it arrived (RFC 5322), as a file. It may contain anything, so that no browser shows it.

    409 `source-deleted` once the e-mail was deleted, or `CRM_MAIL_SOURCE_DAYS` (90) after it was read or ignored.
    """
    return Response(
        await commands.source_of(uow, mail_id), media_type="application/octet-stream", headers=SOURCE_HEADERS
    )


@router.get("/{mail_id}/history", response_model=HistoryPage, operation_id="list_inbound_mail_history")
@shows_history
async def list_inbound_mail_history(mail_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, InboundMail, mail_id, request)


@router.post("/{mail_id}/replay", response_model=InboundMailView, operation_id="replay_inbound_mail")
async def replay_inbound_mail(mail_id: UUID, uow: Uow) -> Response:
    """Read the mail again, such as after an update that reads more. An e-mail that it became is not doubled.

    409 `source-deleted` when the mail as it arrived is no longer kept.
    """
    return await one(uow, await commands.replay_mail(uow, mail_id))


@router.post("/{mail_id}/ignore", response_model=InboundMailView, operation_id="ignore_inbound_mail")
async def ignore_inbound_mail(mail_id: UUID, uow: Uow) -> Response:
    """Leave a mail alone that cannot be read, or that waits. Its bytes are kept for a time, and `replay` takes it up again."""
    return await one(uow, await commands.ignore_mail(uow, mail_id))
