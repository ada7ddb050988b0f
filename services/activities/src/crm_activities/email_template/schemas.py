"""What clients send about templates of e-mails and what they get."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crm_activities.activity.schemas import MOST_PARTIES
from crm_activities.email.schemas import EmailPartyInput
from crm_contracts.types import Email, EntityName, LongText, Maybe, Personal, RefInput, ShortText
from crm_kit.records.patch import Patch, optional

Tag = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]

NAME = "Name of the template, 1 to 200 characters."
SUBJECT = "Subject with variables, 1 to 200 characters in one line."


class EmailTemplateFields(BaseModel):
    """The fields of a template that may be left out."""

    model_config = ConfigDict(extra="forbid")

    language: Tag | None = Field(None, description="BCP 47 language tag of its texts.")
    regarding_type: EntityName | None = Field(
        None, description="Entity of the records that its mails are about; null for mails about any record or none."
    )
    html: Maybe[LongText] = Field(None, description="Body as HTML with variables, at most 32,000 characters.")
    text: Maybe[LongText] = Field(
        None, description="Body as text with variables, at most 32,000 characters; made from `html` unless you send it."
    )


class EmailTemplateCreate(EmailTemplateFields):
    """A new template."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Card is ready",
                    "language": "en",
                    "subject": "{{ organisation.name|default('Your bank') }}: your card is ready",
                    "html": "<p>Dear {{ recipient.name }}, your card is ready.</p>",
                }
            ]
        }
    )

    name: ShortText = Field(description=NAME)
    subject: ShortText = Field(description=SUBJECT)


class EmailTemplateUpdate(Patch, EmailTemplateFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "Your card is ready"}]})

    name: ShortText = optional(NAME)
    subject: ShortText = optional(SUBJECT)


class TemplateUse(BaseModel):
    """The mail for which a template is filled."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"parties": [{"role": "to", "address": "ada@example.org", "name": "Ada"}]}]},
    )

    regarding: RefInput | None = Field(
        None, description="The record that the mail is about, readable by you: `record` in the template."
    )
    sender: Personal[Maybe[Email]] = Field(
        None, description="Address of the sender, one of the settings; by default the first of them."
    )
    parties: list[EmailPartyInput] = Field(
        default_factory=list,
        max_length=MOST_PARTIES,
        description="The recipients. The first `to` is `recipient` in the template.",
    )


class FilledTemplate(BaseModel):
    """A template with the values of a mail."""

    model_config = ConfigDict(extra="forbid")

    template_id: UUID = Field(description="Id of the template.")
    subject: Personal[str] = Field(description="Subject of the mail, in one line.")
    html: Personal[str | None] = Field(description="Clean HTML; null for a template of text only.")
    text: Personal[str | None] = Field(description="The body as text.")
