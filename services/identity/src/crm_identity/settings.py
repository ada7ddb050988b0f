"""The settings of identity besides those that all services have."""

from functools import cache

from pydantic import Field, SecretStr

from crm_kit.configuration.environment import BehindProxies, read
from crm_kit.process.runtime import Runtime


class IdentitySettings(BehindProxies):
    """Limits, lifetimes of tokens, and the initial data of a new installation."""

    tokens_per_account: int = Field(
        10,
        ge=1,
        validation_alias="CRM_TOKENS_PER_ACCOUNT",
        description="Token requests per minute for one account from one address; ten times as many from all unknown addresses.",
    )
    tokens_per_address: int = Field(
        60,
        ge=1,
        validation_alias="CRM_TOKENS_PER_ADDRESS",
        description="Most token requests per minute from one address.",
    )
    lockout_failures: int = Field(
        10,
        ge=1,
        validation_alias="CRM_LOCKOUT_FAILURES",
        description="Failed log-ins with one name that lock it for one address; ten times as many lock it everywhere.",
    )
    lockout_window_minutes: int = Field(
        15,
        ge=1,
        validation_alias="CRM_LOCKOUT_WINDOW_MINUTES",
        description="Minutes in which these failures are counted.",
    )
    lockout_minutes: int = Field(
        15, ge=1, validation_alias="CRM_LOCKOUT_MINUTES", description="Minutes for which the name stays locked."
    )
    trusted_proxies: str = Field(
        "127.0.0.0/8,::1",
        validation_alias="CRM_TRUSTED_PROXIES",
        description="Networks whose X-Forwarded-For is trusted: the gateway and the proxies before it.",
    )
    access_token_seconds: int = Field(600, ge=30, le=600, validation_alias="CRM_ACCESS_TOKEN_SECONDS")
    key_introduction_seconds: int = Field(
        120,
        ge=8,
        le=600,
        validation_alias="CRM_KEY_INTRODUCTION_SECONDS",
        description="Seconds for which a new key is published before it signs. Services fetch unknown keys every 5 s at most.",
    )
    session_days: int = Field(
        30, ge=1, validation_alias="CRM_SESSION_DAYS", description="Days for which a log-in can be refreshed."
    )
    admin_email: str = Field("", validation_alias="CRM_ADMIN_EMAIL", description="Log-in of the first administrator.")
    admin_password: SecretStr = Field(
        SecretStr(""),
        validation_alias="CRM_ADMIN_PASSWORD",
        description="Password of the first administrator; used once.",
    )
    organization_name: str = Field("Organisation", validation_alias="CRM_ORGANIZATION_NAME")
    time_zone: str = Field("UTC", validation_alias="CRM_TIME_ZONE", description="IANA zone of a new installation.")
    base_currency: str = Field(
        "EUR", validation_alias="CRM_BASE_CURRENCY", description="Base currency (ISO 4217) of a new installation."
    )
    country: str = Field(
        "DE", validation_alias="CRM_COUNTRY", description="Country (ISO 3166-1 alpha-2) of a new installation."
    )
    language: str = Field("en", validation_alias="CRM_LANGUAGE", description="Language (BCP 47) of a new installation.")


@cache
def own_settings() -> IdentitySettings:
    """Read the settings from the environment once, before the process serves.

    Invalid settings end the process with a message.
    """
    return read(IdentitySettings)


def settings_of(runtime: Runtime) -> IdentitySettings:
    """Return the settings of this process, or those given to its runtime."""
    settings = runtime.extras.get("identity") or own_settings()
    assert isinstance(settings, IdentitySettings)
    return settings
