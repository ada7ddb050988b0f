"""Epochs: the events of a restored database are newer than its earlier events."""

from alembic import op

from crm_kit.schema import v0004_epochs

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    v0004_epochs.upgrade()
    op.create_index(op.f("ix_timeline_link_target_id"), "timeline_link", ["target_id"], unique=False)
