"""Search users and teams."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("create extension if not exists pg_trgm")
    op.add_column(
        "team",
        sa.Column("search_text", sa.Text(), sa.Computed("lower(coalesce(name, ''))", persisted=True), nullable=False),
    )
    op.create_index(
        op.f("ix_team_search_text"),
        "team",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.add_column(
        "user_account",
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(name, '') || ' ' || coalesce(email, ''))", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(
        op.f("ix_user_account_search_text"),
        "user_account",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
