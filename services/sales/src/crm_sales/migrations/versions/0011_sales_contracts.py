"""Sales contracts."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "sales_contract",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("value_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("value_currency", sa.String(length=3), nullable=True),
        sa.Column("value_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("value_base_currency", sa.String(length=3), nullable=True),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("activated_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("ended_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("terminated_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("termination_reason", sa.String(length=200), nullable=True),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column(
            "customer_type",
            sa.Enum("account", "contact", name="customertype", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column(
            "customer_account_id",
            sa.Uuid(),
            sa.Computed("case when customer_type = 'account' then customer_id end", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "customer_contact_id",
            sa.Uuid(),
            sa.Computed("case when customer_type = 'contact' then customer_id end", persisted=True),
            nullable=True,
        ),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(name, '') || ' ' || coalesce(number, ''))", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("customer_id is not null", name=op.f("ck_sales_contract_customer")),
        sa.CheckConstraint("end_date >= start_date", name=op.f("ck_sales_contract_period")),
        sa.ForeignKeyConstraint(
            ["customer_account_id"], ["account.id"], name=op.f("fk_sales_contract_customer_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_contact_id"], ["contact.id"], name=op.f("fk_sales_contract_customer_contact_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sales_contract")),
        sa.UniqueConstraint("number", name=op.f("uq_sales_contract_number")),
    )
    op.create_index(
        op.f("ix_sales_contract_business_unit_id_created_at_id"),
        "sales_contract",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_sales_contract_created_at_id"), "sales_contract", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_sales_contract_customer_account_id",
        "sales_contract",
        ["customer_account_id"],
        unique=False,
        postgresql_where=sa.text("customer_account_id is not null"),
    )
    op.create_index(
        "ix_sales_contract_customer_contact_id",
        "sales_contract",
        ["customer_contact_id"],
        unique=False,
        postgresql_where=sa.text("customer_contact_id is not null"),
    )
    op.create_index(
        "ix_sales_contract_customer_id",
        "sales_contract",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(
        "ix_sales_contract_end_date_id",
        "sales_contract",
        [sa.literal_column("end_date nulls first"), "id"],
        unique=False,
    )
    op.create_index(op.f("ix_sales_contract_modified_at_id"), "sales_contract", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_sales_contract_name_id"), "sales_contract", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_sales_contract_owner_id_created_at_id"),
        "sales_contract",
        ["owner_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_sales_contract_running",
        "sales_contract",
        ["end_date"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index(
        op.f("ix_sales_contract_search_text"),
        "sales_contract",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_sales_contract_start_date_id",
        "sales_contract",
        [sa.literal_column("start_date nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_sales_contract_value_amount_id",
        "sales_contract",
        [sa.literal_column("value_amount nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_sales_contract_value_base_amount_id",
        "sales_contract",
        [sa.literal_column("value_base_amount nulls first"), "id"],
        unique=False,
    )
    op.execute("create sequence number_sco")
