"""A named set of privileges."""

from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.access import EntityPrivileges
from crm_contracts.identity import SecurityRoleRecord
from crm_identity.db import Base
from crm_kit.store.record import Record


class SecurityRole(Record, Base):
    """What somebody with this role may do, as the contract spells it: {"lead": {"read": "deep", …}}."""

    __tablename__ = "security_role"
    record_model: ClassVar[type[BaseModel]] = SecurityRoleRecord

    name: Mapped[str] = mapped_column(String(200), unique=True)
    privileges: Mapped[dict[str, Any]]

    __table_args__ = (Index(None, "created_at", "id"), Index(None, "name", "id"))

    @property
    def grants(self) -> dict[str, str]:
        """The privileges as the digits of a token."""
        return grants_of(self.privileges)


class SeededEntity(Base):
    """An entity for which the default roles have been given their privileges once.

    A later release adds the entities it brings, and never overrides what an administrator has decided since.
    """

    __tablename__ = "seeded_entity"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)


def grants_of(privileges: dict[str, Any]) -> dict[str, str]:
    """A role's privileges as the digits of a token; entities without any are left out."""
    digits = {entity: EntityPrivileges.stored(held).digits for entity, held in privileges.items()}
    return {entity: depths for entity, depths in digits.items() if depths != "00000"}
