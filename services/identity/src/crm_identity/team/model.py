"""The table of teams. Membership is stored with the user."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.identity import TeamRecord
from crm_identity.db import Base
from crm_kit.store.columns import name_indexes, search_index
from crm_kit.store.record import Record
from crm_kit.store.refers import reference, references
from crm_kit.store.searching import search_column, search_rule


class Team(Record, Base):
    """A group of users that can own records. Each member has the team's roles."""

    __tablename__ = "team"
    record_model: ClassVar[type[BaseModel]] = TeamRecord

    name: Mapped[str] = mapped_column(String(200), unique=True)
    business_unit_id: Mapped[UUID] = reference("business_unit", index=True)
    role_ids: Mapped[list[UUID]] = references("security_role")
    search_text: Mapped[str] = search_column("name")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("team", "name"),
        Index(None, "created_at", "id"),
        Index(None, "name", "id"),
        Index(None, "role_ids", postgresql_using="gin"),
        search_index(),
    )
