"""The settings of activities besides those that all services have."""

from functools import cache
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from crm_kit.configuration.environment import EnvironmentSettings, read
from crm_kit.process.runtime import Runtime

SCHEMES = ("file", "s3")


class ActivitiesSettings(EnvironmentSettings):
    """Where files are stored, and how large they may be."""

    files_url: str = Field(
        "",
        validation_alias="CRM_FILES_URL",
        repr=False,
        description="Where files are stored: file:///a/folder, or s3://bucket/prefix with the AWS_ variables. Without it,"
        " nothing can be attached.",
    )
    max_file_bytes: int = Field(
        100 * 1024**2,
        ge=1,
        le=5 * 1024**4,
        validation_alias="CRM_MAX_FILE_BYTES",
        description="Maximum bytes of one file. CRM_MAX_TRANSFER_BYTES of the gateway limits it, too.",
    )

    @field_validator("files_url")
    @classmethod
    def _is_a_store(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and parts.scheme not in SCHEMES:
            raise ValueError("is neither file:///a/folder nor s3://bucket/prefix")
        if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
            raise ValueError("needs an absolute path after file://")
        if parts.scheme == "s3" and not parts.netloc:
            raise ValueError("names no bucket")
        return value


@cache
def own_settings() -> ActivitiesSettings:
    """Read the settings from the environment once, before the process serves.

    Invalid settings end the process with a message.
    """
    return read(ActivitiesSettings)


def settings_of(runtime: Runtime) -> ActivitiesSettings:
    """Return the settings of this process, or those given to its runtime."""
    settings = runtime.extras.get("activities") or own_settings()
    assert isinstance(settings, ActivitiesSettings)
    return settings
