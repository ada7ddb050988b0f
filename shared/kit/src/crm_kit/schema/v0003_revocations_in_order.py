"""Revocations that compare by identity's own count, and are forgotten by the clock of who noted them."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns


def upgrade() -> None:
    """Add to the table of revocations, inside the revision that calls this. A release before this one goes on writing
    ``not_before`` alone, which makes ``sequence_of`` differ."""
    for column in (
        sa.Column("sequence", sa.BigInteger(), nullable=True, comment="of the change, in identity's own count"),
        sa.Column(
            "sequence_of", crm_kit.store.columns.Timestamp(), nullable=True, comment="the not_before that it belongs to"
        ),
        sa.Column(
            "noted_at",
            crm_kit.store.columns.Timestamp(),
            nullable=True,
            comment="by this service's clock; null where a release before wrote the row",
        ),
    ):
        op.add_column("revocation", column)
