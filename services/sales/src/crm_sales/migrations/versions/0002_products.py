"""Products and families."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "product",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "structure",
            sa.Enum("product", "family", name="productstructure", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column(
            "type",
            sa.Enum(
                "good",
                "service",
                "subscription",
                name="producttype",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("unit", sa.String(length=200), nullable=True),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("list_price_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("list_price_currency", sa.String(length=3), nullable=True),
        sa.Column("list_price_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("list_price_base_currency", sa.String(length=3), nullable=True),
        sa.Column("standard_cost_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("standard_cost_currency", sa.String(length=3), nullable=True),
        sa.Column("standard_cost_base_amount", sa.Numeric(precision=20, scale=4), nullable=True),
        sa.Column("standard_cost_base_currency", sa.String(length=3), nullable=True),
        sa.Column("exchange_rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("tax_percent", crm_kit.store.columns.PercentType(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
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
        sa.ForeignKeyConstraint(["parent_id"], ["product.id"], name=op.f("fk_product_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("number", name=op.f("uq_product_number")),
    )
    op.create_index(op.f("ix_product_created_at_id"), "product", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_product_modified_at_id"), "product", ["modified_at", "id"], unique=False)
    op.create_index(op.f("ix_product_name_id"), "product", ["name", "id"], unique=False)
    op.create_index(op.f("ix_product_number_id"), "product", ["number", "id"], unique=False)
    op.create_index(
        "ix_product_parent_id",
        "product",
        ["parent_id"],
        unique=False,
        postgresql_where=sa.text("parent_id is not null"),
    )
    op.create_index(
        op.f("ix_product_search_text"),
        "product",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.execute("create sequence number_pro")
