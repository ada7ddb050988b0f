"""What clients send about the organisation and what they get."""

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_contracts.types import CountryCode, CurrencyCode, ShortText
from crm_contracts.zones import TimeZone
from crm_kit.records.patch import Patch, optional

# BCP 47 (RFC 5646 §2.1) without its grandfathered and private forms: language, script, region, variants.
_LANGUAGE = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*"
)


def _language(value: str) -> str:
    if len(value) > 35 or not _LANGUAGE.fullmatch(value):
        raise PydanticCustomError("language", "Send a BCP 47 language tag such as de-AT.")
    return value


Language = Annotated[
    str,
    AfterValidator(_language),
    WithJsonSchema({"type": "string", "pattern": f"^{_LANGUAGE.pattern}$", "maxLength": 35, "examples": ["de-AT"]}),
]
"""A BCP 47 language tag."""


class OrganizationUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"time_zone": "Europe/Vienna", "country": "AT"}]})

    name: ShortText = optional("Name, 1 to 200 characters.")
    time_zone: TimeZone = optional("IANA time zone for all dates, due dates and overdue dates.")
    base_currency: CurrencyCode = optional("Currency of all `_base` amounts; it is chosen at the installation.")
    country: CountryCode = optional("Where national telephone numbers are read as of; ISO 3166-1.")
    language: Language = optional("BCP 47 language tag.")
