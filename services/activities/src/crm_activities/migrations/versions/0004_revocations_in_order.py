"""Revocations that are compared by identity's own counter."""

from crm_kit.schema import v0003_revocations_in_order

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    v0003_revocations_in_order.upgrade()
