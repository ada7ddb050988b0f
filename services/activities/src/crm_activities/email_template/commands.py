"""Commands on templates of e-mails."""

from typing import Any
from uuid import UUID

from crm_activities.activity.parties import parties_of
from crm_activities.email.commands import draft
from crm_activities.email.model import Email
from crm_activities.email_template.language import Values, rendered, require_template
from crm_activities.email_template.model import EmailTemplate
from crm_activities.email_template.schemas import EmailTemplateCreate, EmailTemplateUpdate, TemplateUse
from crm_activities.mail.bodies import Body, body_of
from crm_activities.mail.headers import in_one_line
from crm_activities.mail.senders import senders_of
from crm_activities.projections.record_ref import refer_to_any
from crm_contracts.access import Privilege
from crm_contracts.activities.activity import PartyRole, Priority
from crm_contracts.activities.email_template import EmailTemplateCreated, EmailTemplateDeleted, EmailTemplateUpdated
from crm_contracts.catalogue import all_entities
from crm_contracts.sentences import entity_word, said
from crm_kit.errors import InvalidValue
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork

LONGEST_SUBJECT = 200


async def create_template(uow: UnitOfWork, body: EmailTemplateCreate) -> EmailTemplate:
    """Create a template of the organisation."""
    await uow.start(EmailTemplate)
    template = EmailTemplate(**dict(body))
    _require_sound(template)
    return uow.add(template, EmailTemplateCreated)


async def update_template(uow: UnitOfWork, template_id: UUID, body: EmailTemplateUpdate) -> EmailTemplate:
    """Change a template. Mails that were written from it stay as they are."""
    template = await uow.get(EmailTemplate, template_id, Privilege.WRITE)
    apply(template, body.onto(template))
    _require_sound(template)
    return uow.emit_if_changed(template, EmailTemplateUpdated)


async def delete_template(uow: UnitOfWork, template_id: UUID) -> None:
    """Delete a template. Mails that were written from it stay."""
    uow.remove(await uow.get(EmailTemplate, template_id, Privilege.DELETE), EmailTemplateDeleted)


def _require_sound(template: EmailTemplate) -> None:
    for name in ("subject", "html", "text"):
        require_template(getattr(template, name), f"/{name}")
    kinds = {entity.name for entity in all_entities() if not (entity.announcement or entity.setting)}
    if template.regarding_type is not None and template.regarding_type not in kinds:
        message = "No mail can be about such records. Send the name of an entity, such as contact, or null."
        raise InvalidValue("/regarding_type", "unknown-kind", message)


async def fill(uow: UnitOfWork, template: EmailTemplate, body: TemplateUse) -> tuple[dict[str, Any], Body]:
    """Return the columns and the body of the mail that a template makes. 422 for a variable without a value."""
    senders_of(uow.runtime).require(body.sender)
    about = None if body.regarding is None else await refer_to_any(uow, body.regarding, "/regarding")
    if template.regarding_type is not None and (about is None or about.type != template.regarding_type):
        raise InvalidValue(
            "/regarding",
            "other-entity",
            said(
                "This template is for mails about a record of type {kind}.", kind=entity_word(template.regarding_type)
            ),
        )
    parties = await parties_of(uow, body.parties)
    first = next((one for one in parties if one["role"] == PartyRole.TO), {})
    sender = senders_of(uow.runtime).find(body.sender)
    values: Values = {
        "recipient": {"name": first.get("name"), "address": first.get("address")},
        "sender": {"name": sender.name if sender else None, "address": sender.address if sender else body.sender},
        "record": {} if about is None else {"type": about.type, "name": about.name, "id": str(about.id)},
        "organisation": {"name": uow.runtime.directory.organization.name},
    }
    subject = in_one_line(rendered(template.subject, values, html=False), LONGEST_SUBJECT)
    if not subject:
        raise InvalidValue("", "empty-subject", "The subject of this template is empty with these values.")
    html = rendered(template.html, values, html=True) if template.html else None
    text = rendered(template.text, values, html=False) if template.text else None
    columns = {
        "subject": subject,
        "sender": body.sender,
        "parties": parties,
        "priority": Priority.NORMAL,
        "regarding_type": about.type if about else None,
        "regarding_id": about.id if about else None,
    }
    return columns, body_of(html, text)


async def instantiate(uow: UnitOfWork, template_id: UUID, body: TemplateUse) -> Email:
    """Write a draft from a template. The caller owns it."""
    template = await uow.read(EmailTemplate, template_id)
    await uow.start(Email)
    columns, written = await fill(uow, template, body)
    return await draft(uow, columns, written)
