"""Settings from the environment, with secrets also from files."""

import os
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from crm_kit.configuration.secret_files import SECRETS, BadSecret, secret
from crm_kit.network.addresses import networks


class SecretFiles(PydanticBaseSettingsSource):
    """A settings source that reads secrets from files."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one field, its alias, and whether it is complex; required by pydantic-settings."""
        alias = str(field.validation_alias)
        found = secret(alias) if alias in SECRETS and os.environ.get(f"{alias}_FILE") else None
        return found, alias, False

    def __call__(self) -> dict[str, Any]:
        """The values of all fields that come from files."""
        told = (self.get_field_value(field, name)[:2] for name, field in self.settings_cls.model_fields.items())
        return {alias: value for value, alias in told if value is not None}


class EnvironmentSettings(BaseSettings):
    """Settings from the environment and from secret files, as a process reads them once."""

    # A value that is refused may be a secret.
    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values from code come first, then files, then the environment."""
        return init_settings, SecretFiles(settings_cls), env_settings


class BehindProxies(EnvironmentSettings):
    """Settings of a process that knows who stands before it."""

    trusted_proxies: str = Field(
        "",
        validation_alias="CRM_TRUSTED_PROXIES",
        description="Networks of trusted proxies: load balancers for the gateway, gateways for a service.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: str) -> str:
        networks(value)
        return value

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The trusted networks."""
        return networks(self.trusted_proxies)


S = TypeVar("S", bound=EnvironmentSettings)


def read(settings: type[S]) -> S:
    """The settings of this process. Invalid settings end the process with a message."""
    try:
        return settings()
    except BadSecret as error:
        raise SystemExit(str(error)) from None
    except ValidationError as error:
        raise SystemExit("\n".join(map(_in_words, error.errors(include_input=False, include_url=False)))) from None


def _in_words(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"])
    what = "is not set" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")
    return f"{name}: {what}" if name else what
