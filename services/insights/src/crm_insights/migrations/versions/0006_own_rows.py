"""Projections whose own rows store the handled version."""

from crm_kit.schema import v0006_own_rows

revision = "0006"
down_revision = "0005"

COPIES = {"insights.leads": "lead_ref", "insights.deals": "deal", "insights.stages": "stage_ref"}
ahead = v0006_own_rows.ahead(COPIES)


def upgrade() -> None:
    v0006_own_rows.upgrade(COPIES)
