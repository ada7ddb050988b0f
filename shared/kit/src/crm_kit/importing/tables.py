"""Jobs, the rows that wait, and the rows that were refused."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from crm_kit.db import Timestamp


def import_tables(metadata: MetaData) -> None:
    """Add ``import_job``, ``import_row`` and ``import_error``."""
    Table(
        "import_job",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("entity_type", String(60), nullable=False),
        Column("status", String(16), nullable=False),
        Column("duplicates", String(8), nullable=False),
        Column("columns", JSON, nullable=False, comment="the file's columns, in order"),
        Column("mapping", JSON, nullable=False),
        Column("principal", JSONB, nullable=False, comment="on whose behalf, with the rights of that moment"),
        Column("principal_id", Uuid, nullable=False),
        Column("correlation_id", String(128), nullable=False),
        Column("traceparent", Text, comment="of the request that brought the file"),
        Column("total", Integer, nullable=False),
        Column("done", Integer, nullable=False),
        Column("skipped", Integer, nullable=False),
        Column("failed", Integer, nullable=False),
        Column("created_at", Timestamp(), nullable=False),
        Column("started_at", Timestamp()),
        Column("finished_at", Timestamp()),
        Index("ix_import_job_waiting", "created_at", postgresql_where=text("status in ('queued', 'running')")),
    )
    Table(
        "import_row",
        metadata,
        Column("job_id", Uuid, ForeignKey("import_job.id", ondelete="cascade"), nullable=False),
        Column("line", Integer, nullable=False),
        Column("cells", JSON, nullable=False),
        PrimaryKeyConstraint("job_id", "line"),
    )
    Table(
        "import_error",
        metadata,
        Column("job_id", Uuid, ForeignKey("import_job.id", ondelete="cascade"), nullable=False),
        Column("line", Integer, nullable=False),
        Column("position", Integer, nullable=False),
        Column("column", String(200), nullable=False),
        Column("code", String(60), nullable=False),
        Column("message", Text, nullable=False),
        Column("cells", JSON, nullable=False),
        PrimaryKeyConstraint("job_id", "line", "position"),
    )
