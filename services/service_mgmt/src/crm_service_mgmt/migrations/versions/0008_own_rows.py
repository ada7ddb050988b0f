"""Projections whose own rows store the handled version."""

from crm_kit.schema import v0006_own_rows

revision = "0008"
down_revision = "0007"

COPIES = {"service.customers": "customer_ref", "service.products": "product_ref"}
ahead = v0006_own_rows.ahead(COPIES)


def upgrade() -> None:
    v0006_own_rows.upgrade(COPIES)
