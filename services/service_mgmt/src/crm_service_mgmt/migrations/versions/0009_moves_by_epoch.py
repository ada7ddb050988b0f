"""Moves have the epoch of their merge."""

from crm_kit.schema import v0007_moves_by_epoch

revision = "0009"
down_revision = "0008"

ahead = v0007_moves_by_epoch.ahead


def upgrade() -> None:
    v0007_moves_by_epoch.upgrade()
