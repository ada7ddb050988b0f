"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns
from crm_kit.schema import v0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    v0001.upgrade()
    op.create_table(
        "access_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("principals", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("not_before", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_change")),
    )
    op.create_table(
        "attempt_bucket",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("remaining", sa.Double(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempt_bucket")),
    )
    op.create_index(op.f("ix_attempt_bucket_at"), "attempt_bucket", ["at"], unique=False)
    op.create_table(
        "business_unit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["business_unit.id"], name=op.f("fk_business_unit_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_business_unit")),
    )
    op.create_index(op.f("ix_business_unit_created_at_id"), "business_unit", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_business_unit_name_id"), "business_unit", ["name", "id"], unique=False)
    op.create_index(op.f("ix_business_unit_parent_id"), "business_unit", ["parent_id"], unique=False)
    op.create_index(
        "uq_business_unit_root",
        "business_unit",
        [sa.literal_column("(parent_id is null)")],
        unique=True,
        postgresql_where=sa.text("parent_id is null"),
    )
    op.create_table(
        "api_client",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("role_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["business_unit_id"], ["business_unit.id"], name=op.f("fk_api_client_business_unit_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_client")),
        sa.UniqueConstraint("name", name=op.f("uq_api_client_name")),
    )
    op.create_index(op.f("ix_api_client_business_unit_id"), "api_client", ["business_unit_id"], unique=False)
    op.create_index(op.f("ix_api_client_created_at_id"), "api_client", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_api_client_name_id"), "api_client", ["name", "id"], unique=False)
    op.create_index(op.f("ix_api_client_role_ids"), "api_client", ["role_ids"], unique=False, postgresql_using="gin")
    op.create_table(
        "client_secret",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("changed_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["api_client.id"], name=op.f("fk_client_secret_client_id"), ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_secret")),
    )
    op.create_table(
        "failed_login",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("last_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("locked_until", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_failed_login")),
    )
    op.create_index(op.f("ix_failed_login_last_at"), "failed_login", ["last_at"], unique=False)
    op.create_table(
        "organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("base_currency", sa.String(length=3), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("language", sa.String(length=35), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
    )
    op.create_table(
        "security_role",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("privileges", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_role")),
        sa.UniqueConstraint("name", name=op.f("uq_security_role_name")),
    )
    op.create_index(op.f("ix_security_role_created_at_id"), "security_role", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_security_role_name_id"), "security_role", ["name", "id"], unique=False)
    op.create_table(
        "seeded_entity",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_seeded_entity")),
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("jwk", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("retired_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_key")),
    )
    op.create_table(
        "team",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("role_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["business_unit_id"], ["business_unit.id"], name=op.f("fk_team_business_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("name", name=op.f("uq_team_name")),
    )
    op.create_index(op.f("ix_team_business_unit_id"), "team", ["business_unit_id"], unique=False)
    op.create_index(op.f("ix_team_created_at_id"), "team", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_team_name_id"), "team", ["name", "id"], unique=False)
    op.create_index(op.f("ix_team_role_ids"), "team", ["role_ids"], unique=False, postgresql_using="gin")
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("team_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("role_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("locale", sa.String(length=35), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["business_unit_id"], ["business_unit.id"], name=op.f("fk_user_account_business_unit_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
    )
    op.create_index(op.f("ix_user_account_business_unit_id"), "user_account", ["business_unit_id"], unique=False)
    op.create_index(op.f("ix_user_account_created_at_id"), "user_account", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_user_account_email_id"), "user_account", ["email", "id"], unique=False)
    op.create_index(op.f("ix_user_account_name_id"), "user_account", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_user_account_role_ids"), "user_account", ["role_ids"], unique=False, postgresql_using="gin"
    )
    op.create_index(
        op.f("ix_user_account_team_ids"), "user_account", ["team_ids"], unique=False, postgresql_using="gin"
    )
    op.create_index("uq_user_account_email", "user_account", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "credential",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("changed_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_credential_user_id"), ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_credential")),
    )
    op.create_table(
        "refresh_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("expires_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("spent_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("revoked_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_refresh_token_user_id"), ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_token")),
    )
    op.create_index(op.f("ix_refresh_token_expires_at"), "refresh_token", ["expires_at"], unique=False)
    op.create_index(op.f("ix_refresh_token_family_id"), "refresh_token", ["family_id"], unique=False)
    op.create_index(op.f("ix_refresh_token_user_id"), "refresh_token", ["user_id"], unique=False)
