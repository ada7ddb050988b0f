"""API clients: other systems that work with the CRM. Their secrets are in ``auth.model.ClientSecret``."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.identity import ApiClientRecord
from crm_identity.api_client.domain import LIFECYCLE
from crm_identity.db import Base
from crm_kit.store.columns import name_indexes
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import reference, references


class ApiClient(Record, Stateful, Base):
    """A client with a business unit and roles, which determine its rights. Like a user it can own records."""

    __tablename__ = "api_client"
    record_model: ClassVar[type[BaseModel]] = ApiClientRecord
    lifecycle = LIFECYCLE

    name: Mapped[str] = mapped_column(String(200), unique=True)
    business_unit_id: Mapped[UUID] = reference("business_unit", index=True)
    role_ids: Mapped[list[UUID]] = references("security_role")

    __table_args__ = (
        *name_indexes("api_client", "name"),
        Index(None, "created_at", "id"),
        Index(None, "name", "id"),
        Index(None, "role_ids", postgresql_using="gin"),
    )

    def activate(self) -> None:
        """Let the client get tokens again."""
        self.move("activate")

    def deactivate(self) -> None:
        """Refuse further tokens to the client. Its records stay its own."""
        self.move("deactivate")
