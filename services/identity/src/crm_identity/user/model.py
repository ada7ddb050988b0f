"""Users: people who work with the CRM. Their passwords are in ``auth.model.Credential``."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.identity import UserRecord
from crm_identity.db import Base
from crm_identity.user.domain import LIFECYCLE
from crm_kit.identifiers import folded
from crm_kit.store.columns import name_indexes, search_index, unique_over
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import reference, references
from crm_kit.store.searching import search_column, search_rule


class User(Record, Stateful, Base):
    """A user with teams and roles, which determine the user's rights."""

    # ``user`` is a reserved word of SQL.
    __tablename__ = "user_account"
    record_model: ClassVar[type[BaseModel]] = UserRecord
    lifecycle = LIFECYCLE

    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(200))
    business_unit_id: Mapped[UUID] = reference("business_unit", index=True)
    team_ids: Mapped[list[UUID]] = references("team")
    role_ids: Mapped[list[UUID]] = references("security_role")
    locale: Mapped[str | None] = mapped_column(String(35))
    time_zone: Mapped[str | None] = mapped_column(String(64))
    search_text: Mapped[str] = search_column("name", "email")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("user_account", "name"),
        Index("uq_user_account_email", folded("email"), unique=True, info=unique_over("email")),
        Index(None, "created_at", "id"),
        Index(None, "email", "id"),
        Index(None, "name", "id"),
        Index(None, "team_ids", postgresql_using="gin"),
        Index(None, "role_ids", postgresql_using="gin"),
        search_index(),
    )

    @classmethod
    def entity(cls) -> str:
        """``user``, as everywhere outside this table's name."""
        return "user"

    def disable(self) -> None:
        """Refuse further log-ins. The user's records stay theirs."""
        self.move("disable")

    def enable(self) -> None:
        """Allow log-ins again."""
        self.move("enable")
