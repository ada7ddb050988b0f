"""The HTTP face of emails."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from fastapi import Query as Parameter

from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.email import commands
from crm_activities.email.model import Email
from crm_activities.email.schemas import (
    EmailBodyRead,
    EmailComplete,
    EmailCreate,
    EmailRead,
    EmailSend,
    EmailUpdate,
)
from crm_activities.mail.bodies import read_body
from crm_activities.mail.html import without_remote_images
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import READ_HEADERS, Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_kit.store.presenter import to_json

router = APIRouter(prefix="/emails", tags=["emails"], route_class=about(Email))

EMAILS = Listing(
    Email,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority", "sent_at", "received_at"),
    search="search_text",
    ranks={"priority": "priority_rank"},
)


@router.get("", response_model=Page[EmailRead], operation_id="list_emails")
@lists(EMAILS)
async def list_emails(request: Request, uow: Uow) -> Response:
    """E-mails you may read: filter, search subject, preview, names and addresses with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`; `thread_id=<id>` finds a conversation, `regarding.id=<id>` what is about a
    record. Sort by created_at, modified_at, due_at, subject, priority (low, normal, high), sent_at or received_at. Bodies are
    left out.
    """
    return await list_records(uow, EMAILS, request)


@router.post("/query", response_model=Page[EmailRead], operation_id="query_emails")
async def query_emails(query: Query, uow: Uow) -> Response:
    """E-mails by a JSON filter with and, or, not."""
    return await query_records(uow, EMAILS, query)


@router.post("", response_model=EmailRead, status_code=201, operation_id="create_email")
async def create_email(body: EmailCreate, uow: Uow) -> Response:
    """A new draft, owned by you. It is sent by `send`.

    `regarding` may be any record of any service that you may read, a party an account, contact, lead or user: 422
    `unknown-reference` for another, or for one this service has not heard of yet (send `Crm-After` with what you just
    wrote), `inactive-reference` for an inactive one. 422 `unknown-sender` for a `sender` that the settings do not have. HTML is
    stored clean. `reply_to_id` names a mail that you may read.
    """
    return await created(uow, await commands.create_email(uow, body))


@router.get("/{email_id}", response_model=EmailRead, operation_id="get_email")
async def get_email(email_id: UUID, request: Request, uow: Uow) -> Response:
    """One e-mail, with its version as ETag."""
    return await read(uow, Email, email_id, request)


@router.get("/{email_id}/body", response_model=EmailBodyRead, operation_id="get_email_body")
async def get_email_body(
    email_id: UUID,
    uow: Uow,
    remote_images: Annotated[
        bool,
        Parameter(
            description="True to keep images of other servers. Loading them tells their server who reads the mail."
        ),
    ] = False,
) -> Response:
    """The body of an e-mail, for whoever may read the e-mail. HTML is clean; show it in a sandboxed frame all the same."""
    email = await uow.read(Email, email_id)
    body = await read_body(uow, email.id)
    html = body.html if remote_images or body.html is None else without_remote_images(body.html)
    shown = {
        "email_id": email.id,
        "html": html,
        "text": body.text,
        "reply_text": body.reply_text,
        "remote_images": remote_images and body.html is not None and without_remote_images(body.html) != body.html,
    }
    return Response(to_json(shown), 200, READ_HEADERS, "application/json")


@router.patch("/{email_id}", response_model=EmailRead, operation_id="update_email")
async def update_email(email_id: UUID, body: EmailUpdate, uow: Uow) -> Response:
    """Change fields of a draft, or of a mail that failed (RFC 7396 merge patch). A patch that changes nothing keeps the version.

    `parties` replaces all of them; who stays is not checked again. New `html` makes the text anew unless you send `text`.
    Another `remind_at` reminds anew. Completed and canceled mails are read-only: 409. Rules as for a new one.
    """
    return await one(uow, await commands.update_email(uow, email_id, body))


@router.delete("/{email_id}", status_code=204, operation_id="delete_email")
async def delete_email(email_id: UUID, uow: Uow) -> Response:
    """Delete an e-mail, whatever its state."""
    await commands.delete_email(uow, email_id)
    return gone()


@router.get("/{email_id}/history", response_model=HistoryPage, operation_id="list_email_history")
@shows_history
async def list_email_history(email_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Email, email_id, request)


@router.post("/{email_id}/send", response_model=EmailRead, operation_id="send_email")
async def send_email(email_id: UUID, uow: Uow, body: Annotated[EmailSend | None, Body()] = None) -> Response:
    """Queue a draft, or a mail that failed: it is `completed`, `pending_send`, and the worker sends it over SMTP.

    Files attached to the mail go along; one whose `content_id` the HTML names as `cid:` is shown inside it.
    422 `recipient-required` without a recipient, `mail-too-large` above 18 MiB or 100 files, `unknown-sender` for a sender that
    the settings do not have any more. A mail whose `delivery` is `uncertain` was given to the server, which did not answer: 409
    `delivery-uncertain` unless you send `confirm: true`. It keeps its Message-ID. `delivery`, `delivery_phase`,
    `delivery_answer` and `undelivered` say what happened.
    """
    return await one(uow, await commands.send_email(uow, email_id, body or EmailSend()))


@router.post("/{email_id}/complete", response_model=EmailRead, operation_id="complete_email")
async def complete_email(email_id: UUID, uow: Uow, body: Annotated[EmailComplete | None, Body()] = None) -> Response:
    """Log a mail that was sent or received elsewhere: `completed_at` is now. Nothing is sent."""
    return await one(uow, await commands.complete_email(uow, email_id, body or EmailComplete()))


@router.post("/{email_id}/cancel", response_model=EmailRead, operation_id="cancel_email")
async def cancel_email(email_id: UUID, uow: Uow) -> Response:
    """Cancel a draft. Read-only until reopened."""
    return await one(uow, await commands.cancel_email(uow, email_id))


@router.post("/{email_id}/reopen", response_model=EmailRead, operation_id="reopen_email")
async def reopen_email(email_id: UUID, uow: Uow) -> Response:
    """Make a canceled mail, or one that was only logged, a draft again. What was sent or received stays that: 409."""
    return await one(uow, await commands.reopen_email(uow, email_id))


@router.post("/{email_id}/reschedule", response_model=EmailRead, operation_id="reschedule_email")
async def reschedule_email(email_id: UUID, body: Reschedule, uow: Uow) -> Response:
    """Change the due time of an open e-mail. The same time keeps the version."""
    return await one(uow, await commands.reschedule_email(uow, email_id, body))


@router.post("/{email_id}/snooze", response_model=EmailRead, operation_id="snooze_email")
async def snooze_email(email_id: UUID, body: Snooze, uow: Uow) -> Response:
    """Remind the owner of an open e-mail again later; 422 `not-in-the-future` for a time in the past."""
    return await one(uow, await commands.snooze_email(uow, email_id, body))


@router.post("/{email_id}/assign", response_model=EmailRead, operation_id="assign_email")
async def assign_email(email_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the e-mail to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_email(uow, email_id, body))
