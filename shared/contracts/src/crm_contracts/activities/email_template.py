"""Templates of e-mails. They belong to the organisation."""

from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_contracts.types import LongText, ShortText


class EmailTemplateRecord(RecordModel):
    """A text from which mails are written: `{{ recipient.name }}` stands for a value of the mail."""

    name: ShortText = Field(description="Name of the template, 1 to 200 characters.", examples=["Card is ready"])
    language: str | None = Field(description="BCP 47 language tag of its texts; null if it has none.", examples=["en"])
    regarding_type: str | None = Field(
        description="Entity of the records that its mails are about; null for mails about any record or none.",
        examples=["contact"],
    )
    subject: ShortText = Field(description="Subject, with variables.", examples=["{{ record.name }}: your card"])
    html: LongText | None = Field(
        description="Body as HTML, with variables. Values are escaped.",
        examples=["<p>Dear {{ recipient.name }}, your card is ready.</p>"],
    )
    text: LongText | None = Field(
        description="Body as text, with variables; null to make it from `html`.",
        examples=["Dear {{ recipient.name }}, your card is ready."],
    )


EMAIL_TEMPLATE = Entity(
    service="activities",
    name="email_template",
    collection="email-templates",
    record=EmailTemplateRecord,
    owned=False,
    setting=True,
)


class EmailTemplateEvent(Event):
    """Something happened to a template of e-mails."""

    entity: ClassVar[Entity] = EMAIL_TEMPLATE
    record: EmailTemplateRecord


class EmailTemplateCreated(EmailTemplateEvent):
    """A template of e-mails was created."""

    type: ClassVar[str] = "crm.activities.email_template.created.v1"


class EmailTemplateUpdated(EmailTemplateEvent):
    """A template of e-mails changed. Mails that were written from it do not change."""

    type: ClassVar[str] = "crm.activities.email_template.updated.v1"


class EmailTemplateDeleted(EmailTemplateEvent):
    """A template of e-mails was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.email_template.deleted.v1"


class EmailTemplateSnapshot(EmailTemplateEvent):
    """The current state of a template of e-mails, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.email_template.snapshot.v1"
