"""The table of the sales settings, which has one row."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.choices import CustomerCreation, HeaderDiscount, TaxRounding
from crm_contracts.sales.reference import SalesSettingsRecord
from crm_kit.store.columns import text_enum
from crm_kit.store.record import Record
from crm_sales.db import Base

SETTINGS_ID = UUID("0190a000-0000-7000-8000-000000000001")


class SalesSettings(Record, Base):
    """The sales settings of the organisation."""

    __tablename__ = "sales_settings"
    record_model: ClassVar[type[BaseModel]] = SalesSettingsRecord

    customer_creation: Mapped[CustomerCreation] = mapped_column(text_enum(CustomerCreation))
    # The defaults are for the previous release, which does not know these columns.
    tax_rounding: Mapped[TaxRounding] = mapped_column(text_enum(TaxRounding), server_default=TaxRounding.LINE.value)
    header_discount: Mapped[HeaderDiscount] = mapped_column(
        text_enum(HeaderDiscount), server_default=HeaderDiscount.AFTER_TAX.value
    )
