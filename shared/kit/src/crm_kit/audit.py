"""Who changed what, when, from what to what: one row for each version of each record, in the change's own transaction."""

from sqlalchemy import Column, Integer, MetaData, PrimaryKeyConstraint, String, Table, Uuid
from sqlalchemy.dialects.postgresql import JSON

from crm_kit.db import Timestamp


def audit_table(metadata: MetaData) -> Table:
    """The audit trail. It outlives the record it speaks of, so nothing refers to it and it refers to nothing."""
    return Table(
        "audit",
        metadata,
        Column("entity_id", Uuid, nullable=False),
        Column("version", Integer, nullable=False),
        Column("entity_type", String(60), nullable=False),
        Column("fact", String(60), nullable=False),
        Column("at", Timestamp(), nullable=False),
        Column("actor", String(80), nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("correlation_id", String(128), nullable=False),
        Column("changes", JSON, comment="{field: {old, new}}"),
        Column("record", JSON, comment="the whole record, where it was created or deleted"),
        PrimaryKeyConstraint("entity_id", "version"),
    )
