"""``MemberRef``: which teams a user is in. A team's goal counts what its members own, and only identity knows them."""

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from crm_kit.copies.declaring import fields, ids
from crm_kit.copies.projections import Projected
from crm_kit.store.refers import references
from crm_sales.db import Base


class MemberRef(Projected, Base):
    """One user and the teams it is in now. One who is disabled stays: what was won stays won."""

    __tablename__ = "member_ref"

    team_ids: Mapped[list[UUID]] = references("team")

    __table_args__ = (Index(None, "team_ids", postgresql_using="gin"),)


MEMBERS = fields(team_ids=ids)
