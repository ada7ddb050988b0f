"""The access changes that make tokens invalid. All services and the gateway follow them."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.identity import AccessChangeRecord
from crm_identity.db import Base
from crm_kit.store.record import Record


class AccessChange(Record, Base):
    """Up to 500 principals whose rights changed at one moment."""

    __tablename__ = "access_change"
    record_model: ClassVar[type[BaseModel]] = AccessChangeRecord

    principals: Mapped[list[Any]]
    not_before: Mapped[datetime]
    sequence: Mapped[int | None] = mapped_column(BigInteger)
