"""Handovers of the records of removed users, teams and API clients."""

from crm_kit.schema import v0011_handovers

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    v0011_handovers.upgrade("activities_handover")
