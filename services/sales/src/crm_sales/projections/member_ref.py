"""``MemberRef``: the teams of a user, copied from identity. A team's goal counts the records of its members."""

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from crm_kit.copies.declaring import fields, ids
from crm_kit.copies.projections import Projected
from crm_kit.store.refers import references
from crm_sales.db import Base


class MemberRef(Projected, Base):
    """A user and the user's current teams. Disabled users stay, so that what they won still counts."""

    __tablename__ = "member_ref"

    team_ids: Mapped[list[UUID]] = references("team")

    __table_args__ = (Index(None, "team_ids", postgresql_using="gin"),)


MEMBERS = fields(team_ids=ids)
