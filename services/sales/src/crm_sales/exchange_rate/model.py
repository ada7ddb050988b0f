"""The value of one unit of a foreign currency in base currency, from a day on."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.reference import ExchangeRateRecord
from crm_kit.store.record import Record
from crm_sales.db import Base


class ExchangeRate(Record, Base):
    """A rate. The latest one whose day has come applies."""

    __tablename__ = "exchange_rate"
    record_model: ClassVar[type[BaseModel]] = ExchangeRateRecord

    currency: Mapped[str] = mapped_column(String(3))
    rate: Mapped[Decimal] = mapped_column(Numeric(20, 10))
    valid_from: Mapped[date]

    __table_args__ = (
        UniqueConstraint("currency", "valid_from"),
        Index(None, "valid_from", "id"),
        Index(None, "created_at", "id"),
    )
