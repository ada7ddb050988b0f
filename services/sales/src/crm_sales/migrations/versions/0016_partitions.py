"""Outbox and audit in parts by time."""

from crm_kit.schema import v0003_partitions

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    v0003_partitions.upgrade()
