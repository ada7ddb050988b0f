"""Codes of countries and currencies."""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_contracts.countries import COUNTRIES
from crm_contracts.money import EXPONENTS


def _country(value: str) -> str:
    code = value.strip().upper()
    if code not in COUNTRIES:
        raise PydanticCustomError("country", "Send an ISO 3166-1 alpha-2 country code.")
    return code


def _currency(value: str) -> str:
    code = value.strip().upper()
    if code not in EXPONENTS:
        raise PydanticCustomError("currency", "Send an active ISO 4217 currency code.")
    return code


CountryCode = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "enum": sorted(COUNTRIES), "examples": ["DE"]}, mode="validation"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["DE"]}, mode="serialization"),
]
"""ISO 3166-1 alpha-2, upper case."""

CurrencyCode = Annotated[
    str,
    AfterValidator(_currency),
    WithJsonSchema({"type": "string", "enum": sorted(EXPONENTS), "examples": ["EUR"]}, mode="validation"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]}, mode="serialization"),
]
"""ISO 4217 code of an active currency, upper case."""
