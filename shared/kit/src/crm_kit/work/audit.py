"""The audit trail: one row for each version of each record, with the actor, the time, and the old and new values.

The row is written in the same transaction as the change.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, Uuid, event
from sqlalchemy.dialects.postgresql import JSON

from crm_kit import clock
from crm_kit.store.columns import Timestamp
from crm_kit.store.partitions import SCHEMA, Partitioned

AUDIT = Partitioned("public.audit", "at", period="month", ahead=2, key="entity_id, version")


def audit_table(metadata: MetaData) -> Table:
    """Add the table of the audit trail. It has no foreign keys, because its rows outlive their records."""
    audit = Table(
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
        postgresql_partition_by="RANGE (at)",
        info={"parts": ("audit_default",)},
    )
    event.listen(audit, "after_create", _make_parts)
    return audit


def audit_parts(since: datetime) -> list[str]:
    """Return the statements that create the partitions of an empty audit trail."""
    return [f"create schema if not exists {SCHEMA}", *AUDIT.tree(since)]


def _make_parts(_: Table, connection: Connection, **__: Any) -> None:
    for statement in audit_parts(AUDIT.begin(clock.now())):
        connection.exec_driver_sql(statement)
