"""Price lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "price_list",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column("search_text", sa.Text(), sa.Computed("lower(coalesce(name, ''))", persisted=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_list")),
    )
    op.create_index(op.f("ix_price_list_created_at_id"), "price_list", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_price_list_modified_at_id"), "price_list", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_price_list_name_id"), "price_list", ["name", "id"], unique=False)
    op.create_index(
        op.f("ix_price_list_search_text"),
        "price_list",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_price_list_valid_from_id", "price_list", [sa.literal_column("valid_from nulls first"), "id"], unique=False
    )
    op.create_index(
        "ix_price_list_valid_to_id", "price_list", [sa.literal_column("valid_to nulls first"), "id"], unique=False
    )
    op.create_table(
        "price_list_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("price_list_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "pricing_method",
            sa.Enum(
                "amount", "percent_of_list", name="pricingmethod", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("amount_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("amount_currency", sa.String(length=3), nullable=True),
        sa.Column("amount_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("amount_base_currency", sa.String(length=3), nullable=True),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("percent", crm_kit.store.columns.PercentType(), nullable=True),
        sa.Column("volume_breaks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_price_list_item_price_list_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_price_list_item_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_list_item")),
        sa.UniqueConstraint("price_list_id", "product_id", name=op.f("uq_price_list_item_price_list_id_product_id")),
    )
    op.create_index(op.f("ix_price_list_item_created_at_id"), "price_list_item", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_price_list_item_modified_at_id"), "price_list_item", ["modified_at", "id"], unique=False)
    op.create_index(
        op.f("ix_price_list_item_price_list_id_created_at_id"),
        "price_list_item",
        ["price_list_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_price_list_item_product_id"), "price_list_item", ["product_id"], unique=False)
