"""Sales literature."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import crm_kit.store.columns

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "sales_literature",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("status_reason", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "presentation",
                "product_sheet",
                "policies_and_procedures",
                "sales_literature",
                "spreadsheets",
                "news",
                "bulletins",
                "price_sheets",
                "manuals",
                "company_background",
                "marketing_collateral",
                name="literaturetype",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("link", sa.String(length=2000), nullable=True),
        sa.Column("product_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("competitor_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("keywords", sa.String(length=200), nullable=True),
        sa.Column("created_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("modified_at", crm_kit.store.columns.Timestamp(), nullable=False),
        sa.Column("modified_by", sa.Uuid(), nullable=True),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("lower(coalesce(title, '') || ' ' || coalesce(keywords, ''))", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("body is not null or link is not null", name=op.f("ck_sales_literature_content")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sales_literature")),
    )
    op.create_index(
        "ix_sales_literature_competitor_ids",
        "sales_literature",
        ["competitor_ids"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(op.f("ix_sales_literature_created_at_id"), "sales_literature", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_sales_literature_expires_on_id",
        "sales_literature",
        [sa.literal_column("expires_on nulls first"), "id"],
        unique=False,
    )
    op.create_index(op.f("ix_sales_literature_modified_at_id"), "sales_literature", ["modified_at", "id"], unique=False)
    op.create_index(
        "ix_sales_literature_product_ids", "sales_literature", ["product_ids"], unique=False, postgresql_using="gin"
    )
    op.create_index(
        op.f("ix_sales_literature_search_text"),
        "sales_literature",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_sales_literature_title_id"), "sales_literature", ["title", "id"], unique=False)
    op.create_index(op.f("ix_sales_literature_type_id"), "sales_literature", ["type", "id"], unique=False)
