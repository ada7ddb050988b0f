"""An iCalendar object beside the body of a mail."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("email_body", sa.Column("calendar", sa.Text(), nullable=True))
