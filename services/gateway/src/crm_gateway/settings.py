"""The settings of the gateway besides those that all services have."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from crm_kit.configuration.settings import Settings


class GatewaySettings(Settings):
    """The addresses of the services, the origins of browsers, and the limits for each caller."""

    upstreams: str = Field(
        "",
        validation_alias="CRM_UPSTREAMS",
        description="URL of each service: sales=http://127.0.0.1:8101,identity=http://127.0.0.1:8102",
    )
    cors_origins: str = Field(
        "",
        validation_alias="CRM_CORS_ORIGINS",
        description="Origins whose pages may call the API, such as https://crm.example.com; * for any.",
    )
    requests_per_second: float = Field(500, gt=0, validation_alias="CRM_REQUESTS_PER_SECOND")
    request_burst: int = Field(1000, ge=1, validation_alias="CRM_REQUEST_BURST")
    total_seconds: float = Field(
        10.0, gt=0, validation_alias="CRM_TOTAL_SECONDS", description="Maximum seconds for a request in total."
    )
    idle_seconds: float = Field(
        30.0,
        gt=0,
        validation_alias="CRM_IDLE_SECONDS",
        description="Maximum seconds without progress of an import or a file.",
    )
    transfer_rate: int = Field(
        1024,
        ge=1,
        validation_alias="CRM_TRANSFER_RATE",
        description="Minimum bytes per second, on average, from or to the caller of an import or a file.",
    )
    transfer_grace_seconds: float = Field(
        10.0,
        gt=0,
        validation_alias="CRM_TRANSFER_GRACE_SECONDS",
        description="Seconds that an import or a file may take before its rate counts.",
    )
    transfer_work_seconds: float = Field(
        120.0,
        gt=0,
        validation_alias="CRM_TRANSFER_WORK_SECONDS",
        description="Maximum seconds for which a service works on a complete import before it answers.",
    )
    max_transfer_bytes: int = Field(
        1024**3, ge=1, validation_alias="CRM_MAX_TRANSFER_BYTES", description="Maximum bytes of an import or a file."
    )
    upstream_slots: int = Field(
        256, ge=1, validation_alias="CRM_UPSTREAM_SLOTS", description="Maximum concurrent calls to one service."
    )
    transfer_slots: int = Field(
        32,
        ge=1,
        validation_alias="CRM_TRANSFER_SLOTS",
        description="Maximum imports and files that one service works on concurrently.",
    )
    upload_slots: int = Field(
        64,
        ge=1,
        validation_alias="CRM_UPLOAD_SLOTS",
        description="Maximum imports and files that arrive concurrently for one service; each takes up to 1 MiB of its memory.",
    )
    transfer_share: int = Field(
        4, ge=1, validation_alias="CRM_TRANSFER_SHARE", description="Maximum of each of the two for one caller."
    )

    @property
    def connections(self) -> int:
        """Size of the connection pool. The gateway uses its database little."""
        return self.pool_size or (2 if self.role == "api" else 3)

    @property
    def upstream_urls(self) -> Mapping[str, str]:
        """The base URL of each service."""
        pairs = (pair.strip().partition("=") for pair in self.upstreams.split(",") if pair.strip())
        return {name.strip(): url.strip().rstrip("/") for name, _, url in pairs}

    @property
    def origins(self) -> frozenset[str]:
        """The allowed origins."""
        return frozenset(origin.strip().rstrip("/") for origin in self.cors_origins.split(",") if origin.strip())

    @field_validator("upstreams")
    @classmethod
    def _are_urls(cls, value: str) -> str:
        for pair in filter(None, (part.strip() for part in value.split(","))):
            name, equals, url = pair.partition("=")
            parts = urlsplit(url)
            if not (name and equals and parts.scheme == "http" and parts.hostname) or parts.path.strip("/"):
                raise ValueError(f"{pair!r} is not <service>=http://<host>:<port>")
        return value
