"""How the document of a letter or a fax is made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import LongText, Maybe


class DocumentRequest(BaseModel):
    """The text and the paper of a document."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "Dear {recipient},\n\nyour contract begins on Monday.", "paper": "a4"}]
        },
    )

    text: Maybe[LongText] = Field(
        None,
        description="The text, at most 32,000 characters; `description` unless given. `{recipient}`, `{subject}`, `{date}`,"
        " `{sender}` and `{organization}` are filled in.",
    )
    paper: Literal["a4", "letter"] = Field("a4", description="Size of the paper: ISO 216 A4, or US Letter.")
