"""Removals: deletions of users, teams and API clients, with their progress in the services that own records."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.removals import PrincipalRemovalRecord
from crm_identity.db import Base
from crm_identity.removal.domain import CANCELED, LIFECYCLE
from crm_identity.removal.rights import may_cancel
from crm_kit.store.record import DepthOf, Record, Stateful


class PrincipalRemoval(Record, Stateful, Base):
    """The deletion of a user, team or API client. The service itself writes it."""

    __tablename__ = "principal_removal"
    record_model: ClassVar[type[BaseModel]] = PrincipalRemovalRecord
    called: ClassVar[str | None] = "principal_name"
    lifecycle = LIFECYCLE

    principal_type: Mapped[str] = mapped_column(String(8))
    principal_id: Mapped[UUID]
    principal_name: Mapped[str] = mapped_column(String(200))
    transfer: Mapped[bool]
    recipient_type: Mapped[str] = mapped_column(String(8))
    recipient_id: Mapped[UUID]
    reason: Mapped[str | None] = mapped_column(Text)
    services: Mapped[list[Any]]

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "principal_id", "created_at"),
        Index(
            "uq_principal_removal_open",
            "principal_id",
            unique=True,
            postgresql_where=text("status in ('counting', 'moving')"),
        ),
    )

    def hear(self, parts: list[dict[str, Any]]) -> None:
        """Keep the answers of the services."""
        self.services = parts

    def refuse(self, reason: str) -> None:
        """End it; the principal stays."""
        self.follow("refuse")
        self.reason = reason

    def cancel(self) -> None:
        """End it before the deletion; the principal stays. 409 ``illegal-transition`` if it has ended."""
        self.move("cancel")
        self.reason = CANCELED

    @classmethod
    def may_be_moved(cls, depth: DepthOf, values: Mapping[str, Any], *, writes: bool) -> bool:
        """Whoever may delete the principal may cancel that. No role grants writing removals."""
        return may_cancel(depth, values["principal_type"])

    def complete(self) -> None:
        """End it; the principal is deleted."""
        self.follow("complete")
