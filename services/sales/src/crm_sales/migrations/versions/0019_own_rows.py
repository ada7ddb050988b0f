"""Projections whose own rows store the handled version."""

from crm_kit.schema import v0006_own_rows

revision = "0019"
down_revision = "0018"

COPIES = {"sales.members": "member_ref", "sales.cases": "case_ref", "sales.campaigns": "campaign_ref"}
ahead = v0006_own_rows.ahead(COPIES)


def upgrade() -> None:
    v0006_own_rows.upgrade(COPIES)
