"""What clients send about attachments and what they get."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.activities.attachment import AttachmentRecord
from crm_contracts.types import HiddenRef, Ref
from crm_kit.records.patch import Patch, optional

RawName = Annotated[str, Field(min_length=1, max_length=2000)]
"""A name as people send it. It is made harmless."""


class AttachmentUpdate(Patch, BaseModel):
    """A merge patch (RFC 7396): another name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Offer of May.pdf"}]})

    name: RawName = optional("Name of the file. It is made harmless: no path, at most 255 bytes of UTF-8.")


class AttachmentRead(AttachmentRecord):
    """An attachment as you may see it. `GET /attachments/{id}/content` is the file."""

    regarding: Ref | HiddenRef = Field(description="The record to which the file belongs, of any service.")
    allowed_actions: list[str] = Field(description="Commands that your privileges allow.")
