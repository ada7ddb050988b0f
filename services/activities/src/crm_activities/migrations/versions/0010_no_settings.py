"""No copies of settings. Some had the id of a record of another service, whose copy then took no effect."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("delete from record_ref where type in ('organization', 'sales_settings', 'follow_up_rule')")
