"""The table of business units."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.identity import BusinessUnitRecord
from crm_identity.db import Base
from crm_kit.store.columns import name_indexes, unique_over
from crm_kit.store.record import Record
from crm_kit.store.refers import reference

ROOT_ID = UUID("0190a000-0000-7000-8000-000000000002")


class BusinessUnit(Record, Base):
    """A node of the organisation's tree. The unit without a parent is the root."""

    __tablename__ = "business_unit"
    record_model: ClassVar[type[BaseModel]] = BusinessUnitRecord

    name: Mapped[str] = mapped_column(String(200))
    parent_id: Mapped[UUID | None] = reference("business_unit", index=True)

    __table_args__ = (
        *name_indexes("business_unit", "name"),
        Index(
            "uq_business_unit_root",
            text("(parent_id is null)"),
            unique=True,
            postgresql_where=text("parent_id is null"),
            info=unique_over("parent_id"),
        ),
        Index(None, "created_at", "id"),
        Index(None, "name", "id"),
    )
