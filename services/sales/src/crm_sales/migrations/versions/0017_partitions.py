"""Outbox and audit in parts by time."""

from crm_kit.schema import v0004_partitions

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    v0004_partitions.upgrade()
