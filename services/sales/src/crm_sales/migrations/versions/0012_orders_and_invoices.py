"""Orders and invoices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("create sequence number_ord")
    op.create_table(
        "invoice_counter",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("issued", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_invoice_counter_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_counter")),
    )
    op.create_table(
        "order",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("quote_id", sa.Uuid(), nullable=True),
        sa.Column("requested_delivery", sa.Date(), nullable=True),
        sa.Column("prices_locked", sa.Boolean(), nullable=False),
        sa.Column("submitted_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("fulfilled_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("canceled_at", crm_kit.store.columns.Timestamp(), nullable=True),
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
        sa.ForeignKeyConstraint(["customer_account_id"], ["account.id"], name=op.f("fk_order_customer_account_id")),
        sa.ForeignKeyConstraint(["customer_contact_id"], ["contact.id"], name=op.f("fk_order_customer_contact_id")),
        sa.ForeignKeyConstraint(["opportunity_id"], ["opportunity.id"], name=op.f("fk_order_opportunity_id")),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_order_price_list_id")),
        sa.ForeignKeyConstraint(["quote_id"], ["quote.id"], name=op.f("fk_order_quote_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order")),
        sa.UniqueConstraint("number", name=op.f("uq_order_number")),
        sa.UniqueConstraint("quote_id", name=op.f("uq_order_quote_id")),
    )
    op.create_index(
        op.f("ix_order_business_unit_id_created_at_id"), "order", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_order_campaign_id",
        "order",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index(op.f("ix_order_created_at_id"), "order", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_order_customer_account_id",
        "order",
        ["customer_account_id"],
        unique=False,
        postgresql_where=sa.text("customer_account_id is not null"),
    )
    op.create_index(
        "ix_order_customer_contact_id",
        "order",
        ["customer_contact_id"],
        unique=False,
        postgresql_where=sa.text("customer_contact_id is not null"),
    )
    op.create_index(
        "ix_order_customer_id",
        "order",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(op.f("ix_order_modified_at_id"), "order", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_order_name_id"), "order", ["name", "id"], unique=False)
    op.create_index(op.f("ix_order_number_id"), "order", ["number", "id"], unique=False)
    op.create_index(
        "ix_order_opportunity_id",
        "order",
        ["opportunity_id"],
        unique=False,
        postgresql_where=sa.text("opportunity_id is not null"),
    )
    op.create_index(op.f("ix_order_owner_id_created_at_id"), "order", ["owner_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_order_price_list_id",
        "order",
        ["price_list_id"],
        unique=False,
        postgresql_where=sa.text("price_list_id is not null"),
    )
    op.create_index("ix_order_product_ids", "order", ["product_ids"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_order_requested_delivery_id",
        "order",
        [sa.literal_column("requested_delivery nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_order_search_text"),
        "order",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_order_submitted_at_id", "order", [sa.literal_column("submitted_at nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_order_total_amount_id", "order", [sa.literal_column("total_amount nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_order_total_base_amount_id",
        "order",
        [sa.literal_column("total_base_amount nulls first"), "id"],
        unique=False,
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=True),
        sa.Column(
            "kind",
            sa.Enum("invoice", "credit_note", name="invoicekind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("credited_invoice_id", sa.Uuid(), nullable=True),
        sa.Column("issue_date", sa.Date(), nullable=True),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("payments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("paid_total_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("paid_total_currency", sa.String(length=3), nullable=True),
        sa.Column("paid_total_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("paid_total_base_currency", sa.String(length=3), nullable=True),
        sa.Column("credited_total_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("credited_total_currency", sa.String(length=3), nullable=True),
        sa.Column("credited_total_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("credited_total_base_currency", sa.String(length=3), nullable=True),
        sa.Column("balance_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("balance_currency", sa.String(length=3), nullable=True),
        sa.Column("balance_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("balance_base_currency", sa.String(length=3), nullable=True),
        sa.Column("overdue_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("canceled_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
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
        sa.ForeignKeyConstraint(["credited_invoice_id"], ["invoice.id"], name=op.f("fk_invoice_credited_invoice_id")),
        sa.ForeignKeyConstraint(["customer_account_id"], ["account.id"], name=op.f("fk_invoice_customer_account_id")),
        sa.ForeignKeyConstraint(["customer_contact_id"], ["contact.id"], name=op.f("fk_invoice_customer_contact_id")),
        sa.ForeignKeyConstraint(["opportunity_id"], ["opportunity.id"], name=op.f("fk_invoice_opportunity_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_invoice_order_id")),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_invoice_price_list_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("number", name=op.f("uq_invoice_number")),
    )
    op.create_index(
        "ix_invoice_balance_amount_id", "invoice", [sa.literal_column("balance_amount nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_invoice_balance_base_amount_id",
        "invoice",
        [sa.literal_column("balance_base_amount nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invoice_business_unit_id_created_at_id"),
        "invoice",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_invoice_campaign_id",
        "invoice",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index(op.f("ix_invoice_created_at_id"), "invoice", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_invoice_credited_invoice_id",
        "invoice",
        ["credited_invoice_id"],
        unique=False,
        postgresql_where=sa.text("credited_invoice_id is not null"),
    )
    op.create_index(
        "ix_invoice_customer_account_id",
        "invoice",
        ["customer_account_id"],
        unique=False,
        postgresql_where=sa.text("customer_account_id is not null"),
    )
    op.create_index(
        "ix_invoice_customer_contact_id",
        "invoice",
        ["customer_contact_id"],
        unique=False,
        postgresql_where=sa.text("customer_contact_id is not null"),
    )
    op.create_index(
        "ix_invoice_customer_id",
        "invoice",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(
        "ix_invoice_due_date_id", "invoice", [sa.literal_column("due_date nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_invoice_issue_date_id", "invoice", [sa.literal_column("issue_date nulls first"), "id"], unique=False
    )
    op.create_index(op.f("ix_invoice_modified_at_id"), "invoice", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_invoice_name_id"), "invoice", ["name", "id"], unique=False)
    op.create_index("ix_invoice_number_id", "invoice", [sa.literal_column("number nulls first"), "id"], unique=False)
    op.create_index(
        "ix_invoice_opportunity_id",
        "invoice",
        ["opportunity_id"],
        unique=False,
        postgresql_where=sa.text("opportunity_id is not null"),
    )
    op.create_index(
        "ix_invoice_order_id", "invoice", ["order_id"], unique=False, postgresql_where=sa.text("order_id is not null")
    )
    op.create_index(
        "ix_invoice_owed",
        "invoice",
        ["due_date"],
        unique=False,
        postgresql_where=sa.text("overdue_at is null and (status = 'issued' or status_reason = 'partial')"),
    )
    op.create_index(
        op.f("ix_invoice_owner_id_created_at_id"), "invoice", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_invoice_price_list_id",
        "invoice",
        ["price_list_id"],
        unique=False,
        postgresql_where=sa.text("price_list_id is not null"),
    )
    op.create_index("ix_invoice_product_ids", "invoice", ["product_ids"], unique=False, postgresql_using="gin")
    op.create_index(
        op.f("ix_invoice_search_text"),
        "invoice",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_invoice_total_amount_id", "invoice", [sa.literal_column("total_amount nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_invoice_total_base_amount_id",
        "invoice",
        [sa.literal_column("total_base_amount nulls first"), "id"],
        unique=False,
    )
    # This row counts invoice numbers, which have no gaps.
    op.execute("insert into invoice_counter (id, issued) values (1, 0)")
