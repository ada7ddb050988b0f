"""An index of waiting events."""

from crm_kit.schema import v0008_waiting

revision = "0010"
down_revision = "0009"

ahead = v0008_waiting.ahead


def upgrade() -> None:
    v0008_waiting.upgrade()
