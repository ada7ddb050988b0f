"""Texts that people read are sorted as they expect."""

from crm_kit.schema import v0012_names_in_order

revision = "0009"
down_revision = "0008"


ahead = v0012_names_in_order.ahead({}, ())


def upgrade() -> None:
    v0012_names_in_order.upgrade({}, ())
