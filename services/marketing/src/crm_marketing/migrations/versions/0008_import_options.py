"""The formats of an import's file, the key of an update, and what a dry run shows."""

from crm_kit.schema import v0009_import_options

revision = "0008"
down_revision = "0007"

ahead = v0009_import_options.ahead


def upgrade() -> None:
    v0009_import_options.upgrade()
