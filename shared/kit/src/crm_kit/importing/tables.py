"""The tables of imports: jobs, waiting rows, refused rows, and the turns of owners."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from crm_kit.store.columns import Timestamp
from crm_kit.store.refers import refers

WAITING = "status in ('queued', 'running')"


def import_tables(metadata: MetaData) -> None:
    """Add the tables ``import_job``, ``import_row``, ``import_error`` and ``import_turn``."""
    Table(
        "import_job",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("entity_type", String(60), nullable=False),
        Column("status", String(16), nullable=False),
        Column("duplicates", String(8), nullable=False),
        Column("columns", JSON, nullable=False, comment="the file's columns, in order"),
        Column("mapping", JSON, nullable=False),
        Column("options", JSONB, nullable=False, server_default="{}", comment="formats, key and dry run"),
        Column("principal", JSONB, nullable=False, comment="on whose behalf, with the rights of that moment"),
        Column("principal_id", Uuid, nullable=False),
        Column("correlation_id", String(128), nullable=False),
        Column("traceparent", Text, comment="of the request that brought the file"),
        Column("total", Integer, nullable=False),
        Column("done", Integer, nullable=False),
        Column("skipped", Integer, nullable=False),
        Column("failed", Integer, nullable=False),
        Column("updated", Integer, nullable=False, server_default="0", comment="of done: rows that changed a record"),
        Column("preview", JSONB, comment="the first rows as they would be, of a dry run"),
        Column("created_at", Timestamp(), nullable=False),
        Column("started_at", Timestamp()),
        Column("finished_at", Timestamp()),
        Column("attempts", SmallInteger, nullable=False, server_default="0", comment="that failed, in a row"),
        Column("next_attempt_at", Timestamp(), comment="set while the job is in back-off"),
        Column("reason", String(60), comment="code of why it ended early"),
        Column("message", Text, comment="why it ended early, for people"),
        Column("bytes", BigInteger, nullable=False, server_default="0", comment="of its rows that wait"),
        Column("error_bytes", BigInteger, nullable=False, server_default="0", comment="of its rows that were refused"),
        Index("ix_import_job_waiting", "created_at", postgresql_where=text(WAITING)),
        Index("ix_import_job_owner_waiting", "principal_id", "created_at", postgresql_where=text(WAITING)),
        Index("ix_import_job_entity_type_id", "entity_type", "id"),
        Index("ix_import_job_principal_id", "principal_id"),
        Index("ix_import_job_principal_id_id", "principal_id", "id"),
    )
    Table(
        "import_row",
        metadata,
        Column(
            "job_id", Uuid, ForeignKey("import_job.id", ondelete="cascade"), nullable=False, info=refers("import_job")
        ),
        Column("line", Integer, nullable=False),
        Column("cells", JSON, nullable=False),
        PrimaryKeyConstraint("job_id", "line"),
    )
    Table(
        "import_error",
        metadata,
        Column(
            "job_id", Uuid, ForeignKey("import_job.id", ondelete="cascade"), nullable=False, info=refers("import_job")
        ),
        Column("line", Integer, nullable=False),
        Column("position", Integer, nullable=False),
        Column("column", String(200), nullable=False),
        Column("code", String(60), nullable=False),
        Column("message", Text, nullable=False),
        Column("cells", JSON, nullable=False),
        PrimaryKeyConstraint("job_id", "line", "position"),
    )
    Table(
        "import_turn",
        metadata,
        Column("principal_id", Uuid, primary_key=True),
        Column("served_at", Timestamp(), nullable=False, comment="when a chunk of theirs last ended"),
    )
