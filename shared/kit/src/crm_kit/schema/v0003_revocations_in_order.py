"""Lets revocations be compared by identity's own count, and expire by the clock of the service that stored them."""

import sqlalchemy as sa
from alembic import op

import crm_kit.store.columns


def upgrade() -> None:
    """Change the table of revocations. Call it in a revision. An earlier release writes only ``not_before``, so that
    ``sequence_of`` then differs from it."""
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
