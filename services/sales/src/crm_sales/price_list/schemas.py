"""What clients send about price lists and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.price_list import PriceListRecord
from crm_contracts.types import CurrencyCode, Date, LongText, Maybe, ShortText
from crm_kit.records.patch import Patch, optional


class PriceListFields(BaseModel):
    """The fields of a price list that clients write and change. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    valid_from: Date | None = Field(None, description="First day it holds, YYYY-MM-DD.")
    valid_to: Date | None = Field(None, description="Last day it holds, YYYY-MM-DD; not before the first.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class PriceListCreate(PriceListFields):
    """A new price list."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Retail 2026", "currency": "EUR", "valid_from": "2026-01-01"}]}
    )

    name: ShortText = Field(description="Name, 1 to 200 characters.")
    currency: CurrencyCode = Field(
        description="ISO 4217 code of the currency of all its prices; cannot be changed later."
    )


class PriceListUpdate(Patch, PriceListFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"valid_to": "2099-12-31"}]})

    name: ShortText = optional("Name, 1 to 200 characters.")


class PriceListRead(PriceListRecord):
    """A price list as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
