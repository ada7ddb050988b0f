"""Settings every process reads from its environment."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from crm_kit.configuration.environment import BehindProxies
from crm_kit.configuration.environment import read as read
from crm_kit.configuration.public_address import PublicAddress
from crm_kit.network.amqp_urls import Brokers
from crm_kit.network.postgres import Target


class Settings(BehindProxies, PublicAddress):
    """The settings of one process of one service. The names are those of the documented environment variables."""

    service: str = Field(validation_alias="CRM_SERVICE", description="Name of the service that this process runs.")
    role: str = Field("api", validation_alias="CRM_ROLE", description="api, worker, or all: both in one process.")
    instance: str = Field(
        "crm", validation_alias="CRM_INSTANCE", description="Prefix of databases and name of the vhost."
    )
    secret: SecretStr = Field(
        validation_alias="CRM_SECRET",
        description="Secret from which all replicas derive the keys of cursors and links.",
    )
    database_url: str = Field(
        validation_alias="DATABASE_URL",
        repr=False,
        description="postgresql:// URL of this service's database, with libpq's parameters.",
    )
    database_direct_url: str = Field(
        "",
        validation_alias="DATABASE_DIRECT_URL",
        repr=False,
        description="URL of the same database without a pooler, for work that needs its own session.",
    )
    amqp_url: str = Field(
        "",
        validation_alias="AMQP_URL",
        repr=False,
        description="amqp:// or amqps:// URL with the vhost; several brokers separated by commas.",
    )
    amqp_management_url: str = Field("", validation_alias="AMQP_MANAGEMENT_URL", repr=False)
    jwks_url: str = Field("", validation_alias="CRM_JWKS_URL", description="URL at which identity publishes its keys.")
    host: str = Field("127.0.0.1", validation_alias="CRM_BIND_HOST")
    port: int = Field(8000, validation_alias="CRM_PORT")
    metrics_host: str = Field(
        "127.0.0.1", validation_alias="CRM_METRICS_HOST", description="Address on which this process serves /metrics."
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, validation_alias="CRM_METRICS_PORT", description="Port of /metrics; 0 serves none."
    )
    pool_size: int = Field(
        0,
        validation_alias="CRM_POOL_SIZE",
        description="Most connections to the database; 0 is the default of the role: api 6, worker 5, all 4.",
    )
    max_body_bytes: int = Field(1024 * 1024, validation_alias="CRM_MAX_BODY_BYTES")
    head_seconds: float = Field(
        10.0,
        gt=0,
        validation_alias="CRM_HEAD_SECONDS",
        description="Most seconds in which the head of a request must arrive.",
    )
    max_connections: int = Field(
        2048, ge=1, validation_alias="CRM_MAX_CONNECTIONS", description="Most HTTP connections of one process."
    )
    connections_per_address: int = Field(
        256, ge=1, validation_alias="CRM_CONNECTIONS_PER_ADDRESS", description="Most HTTP connections from one address."
    )
    connections_per_proxy: int = Field(
        1024,
        ge=1,
        validation_alias="CRM_CONNECTIONS_PER_PROXY",
        description="Most HTTP connections from an address of this machine or of a trusted proxy.",
    )
    drain_seconds: float = Field(
        5.0,
        ge=5,  # a gateway uses connections that have been idle for up to 4 s
        validation_alias="CRM_DRAIN_SECONDS",
        description="Seconds after SIGTERM during which the process still accepts requests.",
    )
    finish_seconds: int = Field(
        10,
        ge=1,
        validation_alias="CRM_FINISH_SECONDS",
        description="Seconds after that in which running requests must end.",
    )
    keep_alive_seconds: float = Field(
        300.0,
        gt=0,
        validation_alias="CRM_KEEP_ALIVE_SECONDS",
        description="Seconds after which a client must open a new connection.",
    )
    keep_alive_requests: int = Field(
        10_000, ge=1, validation_alias="CRM_KEEP_ALIVE_REQUESTS", description="Most requests of one connection."
    )
    listen_fd: int | None = Field(
        None, validation_alias="CRM_LISTEN_FD", description="A listening socket that `crm up` passes on."
    )
    json_depth: int = Field(32, validation_alias="CRM_JSON_DEPTH")
    hop_seconds: float = Field(
        3.0, validation_alias="CRM_HOP_SECONDS", description="Most seconds that a request may take in this process."
    )
    projection_wait_seconds: float = Field(2.0, validation_alias="CRM_PROJECTION_WAIT_SECONDS")
    idempotency_hours: int = Field(
        24,
        ge=1,
        le=24 * 365,
        validation_alias="CRM_IDEMPOTENCY_HOURS",
        description="Hours for which the answer to an Idempotency-Key is kept.",
    )
    outbox_days: int = Field(
        90,
        ge=1,
        le=3650,
        validation_alias="CRM_OUTBOX_DAYS",
        description="Days for which published events are kept for replays.",
    )
    inbox_days: int = Field(
        0,
        ge=0,
        le=3650,
        validation_alias="CRM_INBOX_DAYS",
        description="Days for which the keys of handled events are kept; 0 is CRM_OUTBOX_DAYS + 30, but at least 120.",
    )
    audit_days: int = Field(
        0,
        ge=0,
        le=36500,
        validation_alias="CRM_AUDIT_DAYS",
        description="Days for which history is kept; 0 keeps it permanently.",
    )
    unread_messages: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        validation_alias="CRM_UNREAD_MESSAGES",
        description="Most unreadable or refused messages kept for operators. A message counts once for each of its groups.",
    )
    import_jobs: int = Field(
        20, ge=1, validation_alias="CRM_IMPORT_JOBS", description="Most imports of one caller that may wait at a time."
    )
    import_rows: int = Field(
        2_000_000,
        ge=1,
        validation_alias="CRM_IMPORT_ROWS",
        description="Most rows of one caller that may wait at a time.",
    )
    import_bytes: int = Field(
        1024**3,
        ge=1,
        validation_alias="CRM_IMPORT_BYTES",
        description="Most bytes of one caller's waiting and refused rows.",
    )
    import_days: int = Field(
        30,
        ge=1,
        validation_alias="CRM_IMPORT_DAYS",
        description="Days for which an import and its refused rows are kept.",
    )
    otlp_endpoint: str = Field("", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    log_level: str = Field("INFO", validation_alias="CRM_LOG_LEVEL")

    @model_validator(mode="after")
    def _urls_can_be_used(self) -> Self:
        Target.of(self.database_url)
        if self.database_direct_url:
            Target.of(self.database_direct_url, "DATABASE_DIRECT_URL")
        if self.amqp_url:
            Brokers.of(self.amqp_url)
        return self

    @property
    def is_pooled(self) -> bool:
        """Whether DATABASE_URL leads through a connection pooler, which may run each statement on another connection."""
        return self.database_direct_url not in ("", self.database_url)

    @property
    def session_url(self) -> str:
        """The URL whose connections keep their session."""
        return self.database_direct_url or self.database_url

    @property
    def connections(self) -> int:
        """Size of the connection pool."""
        return self.pool_size or {"api": 6, "all": 4}.get(self.role, 5)

    @property
    def serves(self) -> bool:
        """Whether this process answers requests."""
        return self.role != "worker"

    @property
    def days_of_keys(self) -> int:
        """Days that the keys of handled events are kept."""
        return self.inbox_days or max(120, self.outbox_days + 30)

    @model_validator(mode="after")
    def _keys_outlive_events(self) -> Self:
        if self.inbox_days and self.inbox_days <= self.outbox_days:
            raise ValueError(
                f"CRM_INBOX_DAYS is {self.inbox_days} and CRM_OUTBOX_DAYS {self.outbox_days}: a replay of events whose keys"
                " are forgotten would take effect twice. Make the first larger than the second, in every service alike"
            )
        return self
