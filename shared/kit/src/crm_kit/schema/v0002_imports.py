"""Adds attempts to imports, so that hopeless ones end, and lets imports of different owners take turns."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns


def upgrade() -> None:
    """Change the tables of imports. Call it in a revision."""
    for column in (
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False, comment="that failed, in a row"),
        sa.Column(
            "next_attempt_at",
            crm_kit.store.columns.Timestamp(),
            nullable=True,
            comment="set while the job is in back-off",
        ),
        sa.Column("reason", sa.String(length=60), nullable=True, comment="code of why it ended early"),
        sa.Column("message", sa.Text(), nullable=True, comment="why it ended early, for people"),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False, comment="of its rows that wait"),
        sa.Column(
            "error_bytes", sa.BigInteger(), server_default="0", nullable=False, comment="of its rows that were refused"
        ),
    ):
        op.add_column("import_job", column)
    op.create_index(
        "ix_import_job_owner_waiting",
        "import_job",
        ["principal_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("status in ('queued', 'running')"),
    )
    op.create_index("ix_import_job_entity_type_id", "import_job", ["entity_type", "id"])
    op.create_index("ix_import_job_principal_id", "import_job", ["principal_id"])
    op.create_table(
        "import_turn",
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column(
            "served_at", crm_kit.store.columns.Timestamp(), nullable=False, comment="when a chunk of theirs last ended"
        ),
        sa.PrimaryKeyConstraint("principal_id", name=op.f("pk_import_turn")),
    )
