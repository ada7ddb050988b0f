"""The former business units of owners, and one user per log-in name, ignoring case.

The history says who was in which unit before. The new index folds ASCII letters, in every locale of a database: an address
has no others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "former_unit",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "unit_id", name=op.f("pk_former_unit")),
    )
    op.execute(
        "insert into former_unit (owner_id, unit_id)"
        " select distinct entity_id, (changes -> 'business_unit_id' ->> 'old')::uuid from audit"
        " where entity_type in ('user', 'team', 'api_client') and changes -> 'business_unit_id' ->> 'old' is not null"
    )
    op.drop_index("uq_user_account_email", table_name="user_account")
    op.create_index(
        "uq_user_account_email", "user_account", [sa.literal_column('lower(email collate "C")')], unique=True
    )
