"""Attachments: files that belong to a record of any service. Events carry no content."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import Flag, Ref

FileName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""A harmless name of a file: one component, at most 255 bytes of UTF-8."""


class AttachmentRecord(OwnedRecord):
    """A file of a record. Who may read the record may read the file, and who may write the record may change it."""

    regarding: Ref = Field(description="The record to which the file belongs, of any service.")
    name: FileName = Field(
        description="Name of the file, made harmless: no path, no control characters, at most 255 bytes of UTF-8.",
        examples=["Offer.pdf"],
    )
    media_type: str = Field(
        description="Media type, found by the content; `application/octet-stream` if it is not known.",
        max_length=127,
        examples=["application/pdf"],
    )
    size: int = Field(description="Size in bytes.", ge=0, examples=[48213])
    sha256: str = Field(
        description="SHA-256 of the content, 64 hexadecimal digits.",
        min_length=64,
        max_length=64,
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    inline: Flag = Field(description="True if a text shows the file, such as an image in an e-mail.")
    content_id: str | None = Field(
        description="The Content-ID by which the HTML of an e-mail names the file (RFC 2392), without brackets.",
        max_length=998,
        examples=["logo@example.com"],
    )


ATTACHMENT = Entity(
    service="activities",
    name="attachment",
    collection="attachments",
    record=AttachmentRecord,
    owned=True,
    setting=True,
)
"""It has no timeline of its own, and no activity is about it."""


class AttachmentEvent(Event):
    """Something happened to an attachment."""

    entity: ClassVar[Entity] = ATTACHMENT
    record: AttachmentRecord


class AttachmentCreated(AttachmentEvent):
    """A file was attached to a record."""

    type: ClassVar[str] = "crm.activities.attachment.created.v1"


class AttachmentUpdated(AttachmentEvent):
    """A file got another name, or moved to the survivor of a merge."""

    type: ClassVar[str] = "crm.activities.attachment.updated.v1"


class AttachmentAssigned(AttachmentEvent):
    """An attachment was given to another owner."""

    type: ClassVar[str] = "crm.activities.attachment.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class AttachmentDeleted(AttachmentEvent):
    """A file was removed, or its record was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.attachment.deleted.v1"


class AttachmentSnapshot(AttachmentEvent):
    """The current state of an attachment, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.attachment.snapshot.v1"
