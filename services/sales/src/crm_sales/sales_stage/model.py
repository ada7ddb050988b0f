"""The table of sales stages, which are reference data of the organisation."""

from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.reference import SalesStageRecord
from crm_kit.store.columns import PercentType
from crm_kit.store.record import Record
from crm_sales.db import Base


class SalesStage(Record, Base):
    """A stage with its position and default probability."""

    __tablename__ = "sales_stage"
    record_model: ClassVar[type[BaseModel]] = SalesStageRecord

    name: Mapped[str] = mapped_column(String(200), unique=True)
    position: Mapped[int]
    probability: Mapped[Decimal] = mapped_column(PercentType())

    __table_args__ = (Index(None, "position", "id"), Index(None, "created_at", "id"))
