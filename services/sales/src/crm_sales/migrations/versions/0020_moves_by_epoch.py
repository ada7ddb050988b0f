"""Moves have the epoch of their merge."""

from crm_kit.schema import v0007_moves_by_epoch

revision = "0020"
down_revision = "0019"

ahead = v0007_moves_by_epoch.ahead


def upgrade() -> None:
    v0007_moves_by_epoch.upgrade()
