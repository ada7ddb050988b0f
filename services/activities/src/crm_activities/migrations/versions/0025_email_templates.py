"""Templates of e-mails."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns
from crm_kit.schema.v0012_names_in_order import in_order

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.create_table(
        "email_template",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=35), nullable=True),
        sa.Column("regarding_type", sa.String(length=50), nullable=True),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_template")),
    )
    op.create_index(op.f("ix_email_template_created_at_id"), "email_template", ["created_at", "id"], unique=False)
    for index in in_order("email_template", "name"):
        index.within()
