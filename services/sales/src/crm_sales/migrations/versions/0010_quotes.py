"""Quotes, and lines of opportunities.

The database fills in the new columns of opportunities, so that the previous release can still write them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("create sequence number_quo")
    op.create_table(
        "quote",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=True),
        sa.Column("effective_to", sa.Date(), nullable=True),
        sa.Column("closed_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("bill_to", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("ship_to", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("opportunity_id", sa.Uuid(), nullable=True),
        sa.Column(
            "payment_terms",
            sa.Enum(
                "due_on_receipt",
                "net_10",
                "net_15",
                "net_30",
                "net_45",
                "net_60",
                name="paymentterms",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("product_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("discount_percent", crm_kit.store.columns.PercentType(), nullable=True),
        sa.Column("price_list_id", sa.Uuid(), nullable=True),
        sa.Column("discount_amount_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("discount_amount_currency", sa.String(length=3), nullable=True),
        sa.Column("discount_amount_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("discount_amount_base_currency", sa.String(length=3), nullable=True),
        sa.Column("freight_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("freight_currency", sa.String(length=3), nullable=True),
        sa.Column("freight_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("freight_base_currency", sa.String(length=3), nullable=True),
        sa.Column("subtotal_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("subtotal_currency", sa.String(length=3), nullable=True),
        sa.Column("subtotal_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("subtotal_base_currency", sa.String(length=3), nullable=True),
        sa.Column("discount_total_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("discount_total_currency", sa.String(length=3), nullable=True),
        sa.Column("discount_total_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("discount_total_base_currency", sa.String(length=3), nullable=True),
        sa.Column("tax_total_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("tax_total_currency", sa.String(length=3), nullable=True),
        sa.Column("tax_total_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("tax_total_base_currency", sa.String(length=3), nullable=True),
        sa.Column("total_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("total_currency", sa.String(length=3), nullable=True),
        sa.Column("total_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("total_base_currency", sa.String(length=3), nullable=True),
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
        sa.ForeignKeyConstraint(["customer_account_id"], ["account.id"], name=op.f("fk_quote_customer_account_id")),
        sa.ForeignKeyConstraint(["customer_contact_id"], ["contact.id"], name=op.f("fk_quote_customer_contact_id")),
        sa.ForeignKeyConstraint(["opportunity_id"], ["opportunity.id"], name=op.f("fk_quote_opportunity_id")),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_quote_price_list_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quote")),
        sa.UniqueConstraint("number", "revision", name=op.f("uq_quote_number_revision")),
    )
    op.create_index(
        op.f("ix_quote_business_unit_id_created_at_id"), "quote", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_quote_campaign_id",
        "quote",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index("ix_quote_closed_at_id", "quote", [sa.literal_column("closed_at nulls first"), "id"], unique=False)
    op.create_index(op.f("ix_quote_created_at_id"), "quote", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_quote_customer_account_id",
        "quote",
        ["customer_account_id"],
        unique=False,
        postgresql_where=sa.text("customer_account_id is not null"),
    )
    op.create_index(
        "ix_quote_customer_contact_id",
        "quote",
        ["customer_contact_id"],
        unique=False,
        postgresql_where=sa.text("customer_contact_id is not null"),
    )
    op.create_index(
        "ix_quote_customer_id",
        "quote",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(
        "ix_quote_effective_to_id", "quote", [sa.literal_column("effective_to nulls first"), "id"], unique=False
    )
    op.create_index(op.f("ix_quote_modified_at_id"), "quote", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_quote_name_id"), "quote", ["name", "id"], unique=False)
    op.create_index(op.f("ix_quote_number_id"), "quote", ["number", "id"], unique=False)
    op.create_index(
        "ix_quote_opportunity_id",
        "quote",
        ["opportunity_id"],
        unique=False,
        postgresql_where=sa.text("opportunity_id is not null"),
    )
    op.create_index(op.f("ix_quote_owner_id_created_at_id"), "quote", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_quote_price_list_id",
        "quote",
        ["price_list_id"],
        unique=False,
        postgresql_where=sa.text("price_list_id is not null"),
    )
    op.create_index("ix_quote_product_ids", "quote", ["product_ids"], unique=False, postgresql_using="gin")
    op.create_index(op.f("ix_quote_revision_id"), "quote", ["revision", "id"], unique=False)
    op.create_index(
        op.f("ix_quote_search_text"),
        "quote",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_quote_to_expire",
        "quote",
        ["effective_to"],
        unique=False,
        postgresql_where=sa.text("status = 'active' and effective_to is not null"),
    )
    op.create_index(
        "ix_quote_total_amount_id", "quote", [sa.literal_column("total_amount nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_quote_total_base_amount_id",
        "quote",
        [sa.literal_column("total_base_amount nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "uq_quote_live",
        "quote",
        ["number"],
        unique=True,
        postgresql_where=sa.text("status in ('draft', 'active', 'won')"),
    )
    op.add_column(
        "opportunity",
        sa.Column(
            "estimated_value_source",
            sa.Enum("user", "lines", name="estimatedvaluesource", native_enum=False, create_constraint=True, length=40),
            server_default="user",
            nullable=False,
        ),
    )
    op.add_column("opportunity", sa.Column("price_list_id", sa.Uuid(), nullable=True))
    op.add_column(
        "opportunity", sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False)
    )
    op.add_column(
        "opportunity", sa.Column("product_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False)
    )
    op.create_index(
        "ix_opportunity_price_list_id",
        "opportunity",
        ["price_list_id"],
        unique=False,
        postgresql_where=sa.text("price_list_id is not null"),
    )
    op.create_index(
        op.f("ix_opportunity_product_ids"), "opportunity", ["product_ids"], unique=False, postgresql_using="gin"
    )
    op.create_foreign_key(op.f("fk_opportunity_price_list_id"), "opportunity", "price_list", ["price_list_id"], ["id"])
