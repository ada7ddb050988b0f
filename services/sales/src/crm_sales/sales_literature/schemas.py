"""What clients send about sales literature and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import LiteratureType
from crm_contracts.sales.sales_literature import SalesLiteratureRecord
from crm_contracts.types import Date, Ids, LongText, Maybe, ShortText, Url
from crm_kit.records.patch import Patch


class SalesLiteratureCreate(BaseModel):
    """A new piece of literature. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Gold card at a glance",
                    "type": "product_sheet",
                    "link": "https://example.org/gold-card.pdf",
                    "keywords": "card gold fees insurance",
                }
            ]
        },
    )

    title: ShortText = Field(description="Title, 1 to 200 characters.")
    type: LiteratureType = Field(description="Kind of document.")
    body: Maybe[LongText] = Field(
        None, description="The text itself, at most 32,000 characters; this or `link` is required, both may be given."
    )
    link: Maybe[Url] = Field(None, description="Where it is found, http or https.")
    product_ids: Ids = Field([], description="Products it is about; one named twice counts once.")
    competitor_ids: Ids = Field([], description="Competitors it is about, active and readable to you.")
    expires_on: Date | None = Field(None, description="Last day it holds, YYYY-MM-DD.")
    keywords: Maybe[ShortText] = Field(None, description="Words to find it by, at most 200 characters.")


class SalesLiteratureUpdate(Patch, SalesLiteratureCreate):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"expires_on": "2030-12-31"}]})


class SalesLiteratureRead(SalesLiteratureRecord):
    """A piece of literature as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
