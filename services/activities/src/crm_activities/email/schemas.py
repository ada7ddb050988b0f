"""What clients send about e-mails and what they get."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crm_activities.activity.schemas import MOST_PARTIES, ActivityFields, PartyInput, SeenParty, SeenRegarding
from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.email import EmailParty, EmailReason, EmailRecord
from crm_contracts.types import Email, Flag, Maybe, Personal, RefInput, ShortText
from crm_kit.records.patch import Patch, optional

MOST_BODY = 300_000

BodyText = Annotated[str, StringConstraints(max_length=MOST_BODY, pattern=r"^[^\u0000]*$")]


class EmailPartyRecord(RefInput):
    """A recipient of a mail, as clients write it."""

    type: Literal["account", "contact", "lead", "user"] = Field(
        description="`account`, `contact`, `lead` or `user`.", examples=["contact"]
    )


class EmailPartyInput(PartyInput):
    """A recipient: an address, and the record to which it belongs."""

    role: Literal[PartyRole.TO, PartyRole.CC, PartyRole.BCC] = Field(
        description="`to`, `cc`, or `bcc`, whom the other recipients do not see."
    )
    party: EmailPartyRecord | None = Field(None, description="Account, contact, lead or user, readable by you.")
    address: Personal[Email] = Field(description="E-mail address.")


class EmailFields(ActivityFields):
    """The fields of an e-mail that clients write. Texts are trimmed; an empty text is null."""

    sender: Personal[Maybe[Email]] = Field(
        None, description="Address of the sender, one of the settings; by default the first of them."
    )
    parties: list[EmailPartyInput] = Field(
        default_factory=list, max_length=MOST_PARTIES, description="The recipients; a patch replaces all."
    )
    html: Personal[Maybe[BodyText]] = Field(
        None,
        description="Body as HTML, at most 300,000 characters. Scripts, forms, frames and what else is not content are removed.",
    )
    text: Personal[Maybe[BodyText]] = Field(
        None, description="Body as text, at most 300,000 characters; made from `html` unless you send it."
    )


class EmailCreate(EmailFields):
    """A new draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Your gold card",
                    "parties": [{"role": "to", "address": "ada@example.org", "name": "Ada Lovelace"}],
                    "html": "<p>Dear Ada, your card is ready.</p>",
                },
            ]
        }
    )

    subject: ShortText = Field(description="Subject, 1 to 200 characters in one line.")
    reply_to_id: UUID | None = Field(
        None,
        description="The e-mail that this one answers: it joins its thread, names it in `references`, and is about the same "
        "record unless you send `regarding`.",
    )


class EmailUpdate(Patch, EmailFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Dear Ada, your card is ready."}]})

    subject: ShortText = optional("Subject, 1 to 200 characters in one line.")


class EmailComplete(BaseModel):
    """How a mail was completed elsewhere."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "sent"}]})

    reason: EmailReason | None = Field(
        None,
        description="`sent` or `received`; unless said, sent for an outgoing mail and received for an incoming one.",
    )


class EmailSend(BaseModel):
    """Whether to send a mail again that may have been delivered."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"confirm": True}]})

    confirm: Flag = Field(
        False, description="True to send a mail again whose `delivery` is `uncertain`, with the same Message-ID."
    )


class EmailPartyRead(EmailParty):
    """A sender or recipient, as you may see it."""

    party: SeenParty


class EmailRead(EmailRecord):
    """An e-mail as you may see it."""

    regarding: SeenRegarding
    parties: list[EmailPartyRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="Sender and recipients. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class EmailBodyRead(BaseModel):
    """The body of an e-mail."""

    model_config = ConfigDict(extra="forbid")

    email_id: UUID = Field(description="Id of the e-mail.")
    html: Personal[str | None] = Field(
        description="HTML without anything that runs. Images of other servers are blocked unless you ask for them: their "
        "address is in `data-blocked-src`. `cid:` addresses name attachments of the mail."
    )
    text: Personal[str | None] = Field(description="The whole body as text.")
    reply_text: Personal[str | None] = Field(
        description="The text without what it quotes; null where nothing was split off."
    )
    remote_images: bool = Field(description="Whether `html` has images that other servers would send.")
