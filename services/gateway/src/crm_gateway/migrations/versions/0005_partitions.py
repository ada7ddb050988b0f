"""Outbox and audit partitioned by time."""

from crm_kit.schema import v0005_partitions

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    v0005_partitions.upgrade()
