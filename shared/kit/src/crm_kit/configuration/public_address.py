"""Where others find the suite: the URL of the gateway and the schemas of its events."""

import re
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from crm_contracts.envelope import MAX_BASE, URN
from crm_kit.configuration.environment import EnvironmentSettings

_BASE: Final = re.compile(rf"(?=.{{1,{MAX_BASE}}}\Z)[a-z][a-z0-9+.-]*:[!-~]*[/:]", re.IGNORECASE)


class PublicAddress(EnvironmentSettings):
    """The settings about it, which are the same for all services and for operators."""

    public_url: str = Field(
        "",
        validation_alias="CRM_PUBLIC_URL",
        description="URL by which clients reach the gateway, such as https://crm.example.com.",
    )
    schema_base: str = Field(
        "",
        validation_alias="CRM_SCHEMA_BASE",
        description="Begin of the dataschema of events: an absolute URI that ends with / or :. By default CRM_PUBLIC_URL"
        f" with /schemas/, and without that {URN}",
    )

    @field_validator("public_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("CRM_PUBLIC_URL is the URL of the gateway: write it like https://crm.example.com")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _schemas_are_absolute(self) -> Self:
        if not _BASE.fullmatch(self.schemas):
            raise ValueError(
                "CRM_SCHEMA_BASE is an absolute URI that ends with / or :, such as https://crm.example.com/schemas/; with"
                f" CRM_PUBLIC_URL in place of it, it has at most {MAX_BASE} characters"
            )
        return self

    @property
    def schemas(self) -> str:
        """The base of the `dataschema` of events."""
        return self.schema_base or (f"{self.public_url}/schemas/" if self.public_url else URN)
