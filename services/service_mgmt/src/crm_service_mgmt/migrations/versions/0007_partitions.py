"""Outbox and audit partitioned by time."""

from crm_kit.schema import v0005_partitions

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    v0005_partitions.upgrade()
