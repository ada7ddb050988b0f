"""Handovers of the records of removed users, teams and API clients."""

from crm_kit.schema import v0011_handovers

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    v0011_handovers.upgrade("sales_handover")
