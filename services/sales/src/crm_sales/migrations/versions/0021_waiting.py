"""An index of waiting events."""

from crm_kit.schema import v0008_waiting

revision = "0021"
down_revision = "0020"

ahead = v0008_waiting.ahead


def upgrade() -> None:
    v0008_waiting.upgrade()
