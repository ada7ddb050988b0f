"""Security roles: named sets of privileges."""

from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.access import EntityPrivileges
from crm_contracts.identity import SecurityRoleRecord
from crm_identity.db import Base
from crm_kit.store.columns import name_indexes
from crm_kit.store.record import Record


class SecurityRole(Record, Base):
    """A role with its privileges in the form of the contract: {"lead": {"read": "deep", …}}."""

    __tablename__ = "security_role"
    record_model: ClassVar[type[BaseModel]] = SecurityRoleRecord

    name: Mapped[str] = mapped_column(String(200), unique=True)
    privileges: Mapped[dict[str, Any]]

    __table_args__ = (
        *name_indexes("security_role", "name"),
        Index(None, "created_at", "id"),
        Index(None, "name", "id"),
    )

    @property
    def grants(self) -> dict[str, str]:
        """Return the privileges as the digits of a token."""
        return grants_of(self.privileges)


class SeededEntity(Base):
    """An entity or a right for which the default roles have been given privileges.

    Each gets them once. A later release adds its new ones, and never overrides decisions of administrators.
    """

    __tablename__ = "seeded_entity"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)


def grants_of(privileges: dict[str, Any]) -> dict[str, str]:
    """Return a role's privileges as the digits of a token, without entities on which it has none."""
    digits = {entity: EntityPrivileges.stored(held).digits for entity, held in privileges.items()}
    return {entity: depths for entity, depths in digits.items() if depths != "00000"}
