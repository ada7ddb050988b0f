"""What clients send about exchange rates and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import CurrencyCode, Date, Rate
from crm_kit.records.patch import Patch


class ExchangeRateCreate(BaseModel):
    """A new rate."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"currency": "USD", "rate": "0.9183", "valid_from": "2026-01-01"}]},
    )

    currency: CurrencyCode = Field(
        description="ISO 4217 code of the foreign currency; not the base currency.", examples=["USD"]
    )
    rate: Rate = Field(description="Units of base currency per unit of `currency`, above zero.")
    valid_from: Date = Field(description="First day it holds, YYYY-MM-DD; unique for each currency.")


class ExchangeRateUpdate(Patch, ExchangeRateCreate):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rate": "0.9207"}]})
