"""Epochs: the events of a restored database are newer than its earlier events."""

from crm_kit.schema import v0004_epochs

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    v0004_epochs.upgrade()
