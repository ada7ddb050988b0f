"""The HTTP face of templates of e-mails: settings of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_activities.email.schemas import EmailRead
from crm_activities.email_template import commands
from crm_activities.email_template.model import EmailTemplate
from crm_activities.email_template.schemas import (
    EmailTemplateCreate,
    EmailTemplateUpdate,
    FilledTemplate,
    TemplateUse,
)
from crm_contracts.access import Privilege
from crm_contracts.activities.email_template import EmailTemplateRecord
from crm_kit.http.requests import NOT_KEYED, Uow, about
from crm_kit.records.answers import READ_HEADERS, Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.store.presenter import to_json

router = APIRouter(
    prefix="/email-templates",
    tags=["email templates"],
    route_class=about(EmailTemplate, preview=Privilege.READ, instantiate=Privilege.READ),
)

TEMPLATES = Listing(EmailTemplate, sortable=("created_at", "name"), default_sort="name")


@router.get("", response_model=Page[EmailTemplateRecord], operation_id="list_email_templates")
@lists(TEMPLATES)
async def list_email_templates(request: Request, uow: Uow) -> Response:
    """Templates of e-mails: filter, page, sort by name or created_at."""
    return await list_records(uow, TEMPLATES, request)


@router.post("/query", response_model=Page[EmailTemplateRecord], operation_id="query_email_templates")
async def query_email_templates(query: Query, uow: Uow) -> Response:
    """Templates by a JSON filter with and, or, not."""
    return await query_records(uow, TEMPLATES, query)


@router.post("", response_model=EmailTemplateRecord, status_code=201, operation_id="create_email_template")
async def create_email_template(body: EmailTemplateCreate, uow: Uow) -> Response:
    """Create a template of e-mails.

    `{{ recipient.name }}` stands for a value. Variables are `recipient.name`, `recipient.address`, `sender.name`,
    `sender.address`, `record.type`, `record.name`, `record.id` and `organisation.name`. The language has the filters `default`,
    `upper` and `lower`, and `if` with `==`, `!=`, `and`, `or`, `not` and `is defined`. 422 `invalid-template` for what is not
    part of it, `unknown-variable` for another variable.
    """
    return await created(uow, await commands.create_template(uow, body))


@router.get("/{template_id}", response_model=EmailTemplateRecord, operation_id="get_email_template")
async def get_email_template(template_id: UUID, request: Request, uow: Uow) -> Response:
    """One template, with its version as ETag."""
    return await read(uow, EmailTemplate, template_id, request)


@router.patch("/{template_id}", response_model=EmailTemplateRecord, operation_id="update_email_template")
async def update_email_template(template_id: UUID, body: EmailTemplateUpdate, uow: Uow) -> Response:
    """Change a template (RFC 7396 merge patch). Mails that were written from it stay as they are. Rules as for a new one."""
    return await one(uow, await commands.update_template(uow, template_id, body))


@router.delete("/{template_id}", status_code=204, operation_id="delete_email_template")
async def delete_email_template(template_id: UUID, uow: Uow) -> Response:
    """Delete a template. Mails that were written from it stay."""
    await commands.delete_template(uow, template_id)
    return gone()


@router.get("/{template_id}/history", response_model=HistoryPage, operation_id="list_email_template_history")
@shows_history
async def list_email_template_history(template_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, EmailTemplate, template_id, request)


@router.post(
    "/{template_id}/preview",
    response_model=FilledTemplate,
    operation_id="preview_email_template",
    openapi_extra=NOT_KEYED,
)
async def preview_email_template(template_id: UUID, body: TemplateUse, uow: Uow) -> Response:
    """Show the mail that a template makes of a record and recipients, without storing it. Problems as of `instantiate`."""
    template = await uow.read(EmailTemplate, template_id)
    columns, written = await commands.fill(uow, template, body)
    shown = {"template_id": template.id, "subject": columns["subject"], "html": written.html, "text": written.text}
    return Response(to_json(shown), 200, READ_HEADERS, "application/json")


@router.post(
    "/{template_id}/instantiate", response_model=EmailRead, status_code=201, operation_id="instantiate_email_template"
)
async def instantiate_email_template(template_id: UUID, body: TemplateUse, uow: Uow) -> Response:
    """Write a draft from a template, owned by you. It is a mail like any other: edit it, and send it.

    Values are escaped in HTML, and a line break in a value becomes a space in the subject. 422 `missing-variable` with the field
    that would give the value, if a variable has none; `other-entity` if the template is for mails about other records. Parties,
    sender and `regarding` follow the rules of new e-mails.
    """
    return await created(uow, await commands.instantiate(uow, template_id, body))
