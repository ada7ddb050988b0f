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
    op.execute("create extension if not exists pg_trgm")
    op.execute(
        "do $$ begin execute format("
        "'alter database %I set pg_trgm.similarity_threshold = 0.6', current_database()); end $$"
    )
    for prefix in ("lea", "opp", "acc", "con"):
        op.execute(f"create sequence number_{prefix}")
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("number", sa.String(length=200), nullable=True),
        sa.Column("parent_account_id", sa.Uuid(), nullable=True),
        sa.Column("primary_contact_id", sa.Uuid(), nullable=True),
        sa.Column("industry", sa.String(length=200), nullable=True),
        sa.Column("employees", sa.Integer(), nullable=True),
        sa.Column("annual_revenue_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("annual_revenue_currency", sa.String(length=3), nullable=True),
        sa.Column("annual_revenue_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("annual_revenue_base_currency", sa.String(length=3), nullable=True),
        sa.Column("website", sa.String(length=2000), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=16), nullable=True),
        sa.Column("billing_address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("shipping_address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "tier",
            sa.Enum(
                "prospect",
                "standard",
                "important",
                "key",
                name="tier",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("credit_limit_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("credit_limit_currency", sa.String(length=3), nullable=True),
        sa.Column("credit_limit_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("credit_limit_base_currency", sa.String(length=3), nullable=True),
        sa.Column("credit_hold", sa.Boolean(), nullable=False),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("evaluation", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed(
                "lower(coalesce(name, '') || ' ' || coalesce(number, '') || ' ' || coalesce(email, '') || ' ' || coalesce(phone, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["parent_account_id"], ["account.id"], name=op.f("fk_account_parent_account_id")),
        sa.ForeignKeyConstraint(
            ["primary_contact_id"], ["contact.id"], name=op.f("fk_account_primary_contact_id"), use_alter=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("number", name=op.f("uq_account_number")),
    )
    op.create_index(
        op.f("ix_account_business_unit_id_created_at_id"),
        "account",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_account_created_at_id"), "account", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_account_email", "account", ["email"], unique=False, postgresql_where=sa.text("email is not null")
    )
    op.create_index(op.f("ix_account_modified_at_id"), "account", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_account_name_id"), "account", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_account_owner_id_created_at_id"), "account", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_account_parent_account_id",
        "account",
        ["parent_account_id"],
        unique=False,
        postgresql_where=sa.text("parent_account_id is not null"),
    )
    op.create_index(
        "ix_account_phone", "account", ["phone"], unique=False, postgresql_where=sa.text("phone is not null")
    )
    op.create_index(
        "ix_account_primary_contact_id",
        "account",
        ["primary_contact_id"],
        unique=False,
        postgresql_where=sa.text("primary_contact_id is not null"),
    )
    op.create_index(
        op.f("ix_account_search_text"),
        "account",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_account_tier_id"), "account", ["tier", "id"], unique=False)
    op.create_table(
        "exchange_rate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.Numeric(precision=20, scale=10), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_rate")),
        sa.UniqueConstraint("currency", "valid_from", name=op.f("uq_exchange_rate_currency_valid_from")),
    )
    op.create_index(op.f("ix_exchange_rate_created_at_id"), "exchange_rate", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_exchange_rate_valid_from_id"), "exchange_rate", ["valid_from", "id"], unique=False)
    op.create_table(
        "sales_settings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "customer_creation",
            sa.Enum(
                "on_qualify", "on_win", name="customercreation", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sales_settings")),
    )
    op.create_table(
        "sales_stage",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("probability", crm_kit.store.columns.PercentType(), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sales_stage")),
        sa.UniqueConstraint("name", name=op.f("uq_sales_stage_name")),
    )
    op.create_index(op.f("ix_sales_stage_created_at_id"), "sales_stage", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_sales_stage_position_id"), "sales_stage", ["position", "id"], unique=False)
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=True),
        sa.Column("last_name", sa.String(length=200), nullable=False),
        sa.Column("full_name", sa.String(length=401), nullable=False),
        sa.Column(
            "gender",
            sa.Enum(
                "female",
                "male",
                "other",
                "unknown",
                name="gender",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("job_title", sa.String(length=200), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=16), nullable=True),
        sa.Column("mobile_phone", sa.String(length=16), nullable=True),
        sa.Column("address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "tier",
            sa.Enum(
                "prospect",
                "standard",
                "important",
                "key",
                name="tier",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "preferred_channel",
            sa.Enum(
                "any",
                "email",
                "phone",
                "mobile",
                "post",
                "chat",
                name="preferredchannel",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("do_not_email", sa.Boolean(), nullable=False),
        sa.Column("do_not_phone", sa.Boolean(), nullable=False),
        sa.Column("do_not_post", sa.Boolean(), nullable=False),
        sa.Column("interests", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("needs", sa.Text(), nullable=True),
        sa.Column(
            "buying_power",
            sa.Enum("low", "medium", "high", name="buyingpower", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("evaluation", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed(
                "lower(coalesce(full_name, '') || ' ' || coalesce(email, '') || ' ' || coalesce(phone, '') || ' ' || coalesce(mobile_phone, '') || ' ' || coalesce(number, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_contact_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("number", name=op.f("uq_contact_number")),
    )
    op.create_index(
        "ix_contact_account_id",
        "contact",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("account_id is not null"),
    )
    op.create_index(
        op.f("ix_contact_business_unit_id_created_at_id"),
        "contact",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_contact_created_at_id"), "contact", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_contact_email", "contact", ["email"], unique=False, postgresql_where=sa.text("email is not null")
    )
    op.create_index(
        "ix_contact_first_name_id", "contact", [sa.literal_column("first_name nulls first"), "id"], unique=False
    )
    op.create_index(op.f("ix_contact_full_name_id"), "contact", ["full_name", "id"], unique=False)
    op.create_index(op.f("ix_contact_last_name_id"), "contact", ["last_name", "id"], unique=False)
    op.create_index(
        "ix_contact_mobile_phone",
        "contact",
        ["mobile_phone"],
        unique=False,
        postgresql_where=sa.text("mobile_phone is not null"),
    )
    op.create_index(op.f("ix_contact_modified_at_id"), "contact", ["modified_at", "id"], unique=False)
    op.create_index(
        op.f("ix_contact_owner_id_created_at_id"), "contact", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_contact_phone", "contact", ["phone"], unique=False, postgresql_where=sa.text("phone is not null")
    )
    op.create_index(
        op.f("ix_contact_search_text"),
        "contact",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_contact_tier_id"), "contact", ["tier", "id"], unique=False)
    op.create_table(
        "lead",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=True),
        sa.Column("last_name", sa.String(length=200), nullable=True),
        sa.Column("company_name", sa.String(length=200), nullable=True),
        sa.Column("job_title", sa.String(length=200), nullable=True),
        sa.Column(
            "gender",
            sa.Enum(
                "female",
                "male",
                "other",
                "unknown",
                name="gender",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=16), nullable=True),
        sa.Column("mobile_phone", sa.String(length=16), nullable=True),
        sa.Column("address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("website", sa.String(length=2000), nullable=True),
        sa.Column("industry", sa.String(length=200), nullable=True),
        sa.Column(
            "source",
            sa.Enum(
                "advertisement",
                "employee_referral",
                "partner",
                "campaign",
                "sales_drive",
                "web",
                "word_of_mouth",
                "other",
                name="leadsource",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "rating",
            sa.Enum("hot", "warm", "cold", name="rating", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("budget_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("budget_currency", sa.String(length=3), nullable=True),
        sa.Column("budget_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("budget_base_currency", sa.String(length=3), nullable=True),
        sa.Column("estimated_value_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("estimated_value_currency", sa.String(length=3), nullable=True),
        sa.Column("estimated_value_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("estimated_value_base_currency", sa.String(length=3), nullable=True),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("estimated_close_date", sa.Date(), nullable=True),
        sa.Column(
            "need",
            sa.Enum(
                "must_have",
                "should_have",
                "good_to_have",
                "none",
                name="need",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "preferred_channel",
            sa.Enum(
                "any",
                "email",
                "phone",
                "mobile",
                "post",
                "chat",
                name="preferredchannel",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("do_not_email", sa.Boolean(), nullable=False),
        sa.Column("do_not_phone", sa.Boolean(), nullable=False),
        sa.Column("do_not_post", sa.Boolean(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("opportunity_id", sa.Uuid(), nullable=True),
        sa.Column("qualified_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("disqualified_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed(
                "lower(coalesce(topic, '') || ' ' || coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || coalesce(company_name, '') || ' ' || coalesce(email, '') || ' ' || coalesce(phone, '') || ' ' || coalesce(mobile_phone, '') || ' ' || coalesce(number, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_lead_account_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_lead_contact_id")),
        sa.ForeignKeyConstraint(
            ["opportunity_id"], ["opportunity.id"], name=op.f("fk_lead_opportunity_id"), use_alter=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead")),
        sa.UniqueConstraint("number", name=op.f("uq_lead_number")),
    )
    op.create_index(
        "ix_lead_account_id", "lead", ["account_id"], unique=False, postgresql_where=sa.text("account_id is not null")
    )
    op.create_index(
        op.f("ix_lead_business_unit_id_created_at_id"), "lead", ["business_unit_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_lead_campaign_id",
        "lead",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index(
        "ix_lead_contact_id", "lead", ["contact_id"], unique=False, postgresql_where=sa.text("contact_id is not null")
    )
    op.create_index(
        "ix_lead_company_name_id", "lead", [sa.literal_column("company_name nulls first"), "id"], unique=False
    )
    op.create_index(op.f("ix_lead_created_at_id"), "lead", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_lead_estimated_close_date_id",
        "lead",
        [sa.literal_column("estimated_close_date nulls first"), "id"],
        unique=False,
    )
    op.create_index("ix_lead_last_name_id", "lead", [sa.literal_column("last_name nulls first"), "id"], unique=False)
    op.create_index(op.f("ix_lead_modified_at_id"), "lead", ["modified_at", "id"], unique=False)
    op.create_index(
        "ix_lead_opportunity_id",
        "lead",
        ["opportunity_id"],
        unique=False,
        postgresql_where=sa.text("opportunity_id is not null"),
    )
    op.create_index(op.f("ix_lead_owner_id_created_at_id"), "lead", ["owner_id", "created_at", "id"], unique=False)
    op.create_index("ix_lead_rating_id", "lead", [sa.literal_column("rating nulls first"), "id"], unique=False)
    op.create_index(
        op.f("ix_lead_search_text"),
        "lead",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_table(
        "opportunity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_type", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("business_unit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "customer_type",
            sa.Enum("account", "contact", name="customertype", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
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
        sa.Column("originating_lead_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column(
            "source",
            sa.Enum(
                "advertisement",
                "employee_referral",
                "partner",
                "campaign",
                "sales_drive",
                "web",
                "word_of_mouth",
                "other",
                name="leadsource",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "rating",
            sa.Enum("hot", "warm", "cold", name="rating", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("stage_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(length=200), nullable=False),
        sa.Column("stages", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("probability", crm_kit.store.columns.PercentType(), nullable=False),
        sa.Column("probability_overridden", sa.Boolean(), nullable=False),
        sa.Column("estimated_value_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("estimated_value_currency", sa.String(length=3), nullable=True),
        sa.Column("estimated_value_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("estimated_value_base_currency", sa.String(length=3), nullable=True),
        sa.Column("estimated_close_date", sa.Date(), nullable=True),
        sa.Column("actual_value_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("actual_value_currency", sa.String(length=3), nullable=True),
        sa.Column("actual_value_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("actual_value_base_currency", sa.String(length=3), nullable=True),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("closed_at", crm_kit.store.columns.Timestamp(), nullable=True),
        sa.Column("closes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
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
        sa.ForeignKeyConstraint(
            ["customer_account_id"], ["account.id"], name=op.f("fk_opportunity_customer_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_contact_id"], ["contact.id"], name=op.f("fk_opportunity_customer_contact_id")
        ),
        sa.ForeignKeyConstraint(["originating_lead_id"], ["lead.id"], name=op.f("fk_opportunity_originating_lead_id")),
        sa.ForeignKeyConstraint(["stage_id"], ["sales_stage.id"], name=op.f("fk_opportunity_stage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opportunity")),
        sa.UniqueConstraint("number", name=op.f("uq_opportunity_number")),
    )
    op.create_index(
        op.f("ix_opportunity_business_unit_id_created_at_id"),
        "opportunity",
        ["business_unit_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_opportunity_campaign_id",
        "opportunity",
        ["campaign_id"],
        unique=False,
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index(
        "ix_opportunity_closed_at_id", "opportunity", [sa.literal_column("closed_at nulls first"), "id"], unique=False
    )
    op.create_index(op.f("ix_opportunity_created_at_id"), "opportunity", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_opportunity_customer_account_id",
        "opportunity",
        ["customer_account_id"],
        unique=False,
        postgresql_where=sa.text("customer_account_id is not null"),
    )
    op.create_index(
        "ix_opportunity_customer_contact_id",
        "opportunity",
        ["customer_contact_id"],
        unique=False,
        postgresql_where=sa.text("customer_contact_id is not null"),
    )
    op.create_index(
        "ix_opportunity_customer_id",
        "opportunity",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id is not null"),
    )
    op.create_index(
        "ix_opportunity_estimated_close_date_id",
        "opportunity",
        [sa.literal_column("estimated_close_date nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_opportunity_estimated_value_amount_id",
        "opportunity",
        [sa.literal_column("estimated_value_amount nulls first"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_opportunity_estimated_value_base_amount_id",
        "opportunity",
        [sa.literal_column("estimated_value_base_amount nulls first"), "id"],
        unique=False,
    )
    op.create_index(op.f("ix_opportunity_modified_at_id"), "opportunity", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_opportunity_name_id"), "opportunity", ["name", "id"], unique=False)
    op.create_index(
        "ix_opportunity_originating_lead_id",
        "opportunity",
        ["originating_lead_id"],
        unique=False,
        postgresql_where=sa.text("originating_lead_id is not null"),
    )
    op.create_index(
        op.f("ix_opportunity_owner_id_created_at_id"), "opportunity", ["owner_id", "created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_opportunity_search_text"),
        "opportunity",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_opportunity_stage_id"), "opportunity", ["stage_id"], unique=False)
    op.create_index("ix_opportunity_stage_name", "opportunity", ["stage", "id"], unique=False)
    # Two pairs of tables refer to each other; create_table leaves such keys out.
    op.create_foreign_key("fk_account_primary_contact_id", "account", "contact", ["primary_contact_id"], ["id"])
    op.create_foreign_key("fk_lead_opportunity_id", "lead", "opportunity", ["opportunity_id"], ["id"])
    op.create_index("ix_account_likeness", "account", [sa.text("lower(name) gin_trgm_ops")], postgresql_using="gin")
    op.create_index(
        "ix_contact_likeness", "contact", [sa.text("lower(full_name) gin_trgm_ops")], postgresql_using="gin"
    )
