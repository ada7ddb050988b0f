"""Data of the whole sales organisation: stages, exchange rates and settings."""

from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event, called
from crm_contracts.records import RecordModel
from crm_contracts.types import Count, CurrencyCode, Date, Open, Percent, Rate, ShortText

from .choices import CustomerCreation, HeaderDiscount, TaxRounding


class SalesStageRecord(RecordModel):
    """A stage of the sales process."""

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Propose"])
    position: Count = Field(description="Order among the stages, lowest first.", examples=[3])
    probability: Percent = Field(description="Default chance to win in percent, 0 to 100.", examples=[60])


class ExchangeRateRecord(RecordModel):
    """The value of one unit of a currency, from a day on."""

    currency: CurrencyCode = Field(description="ISO 4217 code of the foreign currency.", examples=["USD"])
    rate: Rate = Field(description="Units of base currency per unit of `currency`.", examples=["0.9183"])
    valid_from: Date = Field(description="First day on which it is valid, in the organisation's time zone.")


class SalesSettingsRecord(RecordModel):
    """Settings of the sales service. There is one record."""

    customer_creation: Open[CustomerCreation] = Field(description="When account and contact are created from a lead.")
    tax_rounding: Open[TaxRounding] = Field(
        default=TaxRounding.LINE,
        description="Where the tax of new quotes, orders and invoices is rounded: in each line (`line`), or once for each tax "
        "percentage of the document (`document`). Documents keep the value with which they were created.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    header_discount: Open[HeaderDiscount] = Field(
        default=HeaderDiscount.AFTER_TAX,
        description="Whether the discount on the subtotal of new quotes, orders and invoices lowers the amount that is taxed "
        "(`before_tax`), or leaves the tax as it is (`after_tax`). Documents keep the value with which they were created.",
        json_schema_extra={"x-since": "1.1.0"},
    )


SALES_STAGE = Entity(
    service="sales", name="sales_stage", collection="sales-stages", record=SalesStageRecord, owned=False
)
EXCHANGE_RATE = Entity(
    service="sales",
    name="exchange_rate",
    collection="exchange-rates",
    record=ExchangeRateRecord,
    owned=False,
    named="currency",
)
SALES_SETTINGS = Entity(
    service="sales",
    name="sales_settings",
    collection="settings/sales",
    record=SalesSettingsRecord,
    owned=False,
    named=called("Sales settings"),
    setting=True,
)


class SalesStageEvent(Event):
    """Something happened to a sales stage."""

    entity: ClassVar[Entity] = SALES_STAGE
    record: SalesStageRecord


class SalesStageCreated(SalesStageEvent):
    """A sales stage was added."""

    type: ClassVar[str] = "crm.sales.sales_stage.created.v1"


class SalesStageUpdated(SalesStageEvent):
    """A sales stage changed."""

    type: ClassVar[str] = "crm.sales.sales_stage.updated.v1"


class SalesStageDeleted(SalesStageEvent):
    """A sales stage was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.sales_stage.deleted.v1"


class SalesStageSnapshot(SalesStageEvent):
    """The current state of a sales stage, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.sales_stage.snapshot.v1"


class ExchangeRateEvent(Event):
    """Something happened to an exchange rate."""

    entity: ClassVar[Entity] = EXCHANGE_RATE
    record: ExchangeRateRecord


class ExchangeRateCreated(ExchangeRateEvent):
    """An exchange rate was entered. Amounts with a pinned rate keep it."""

    type: ClassVar[str] = "crm.sales.exchange_rate.created.v1"


class ExchangeRateUpdated(ExchangeRateEvent):
    """An exchange rate was corrected. Amounts with a pinned rate keep it."""

    type: ClassVar[str] = "crm.sales.exchange_rate.updated.v1"


class ExchangeRateDeleted(ExchangeRateEvent):
    """An exchange rate was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.exchange_rate.deleted.v1"


class ExchangeRateSnapshot(ExchangeRateEvent):
    """The current state of an exchange rate, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.exchange_rate.snapshot.v1"


class SalesSettingsEvent(Event):
    """Something happened to the sales settings."""

    entity: ClassVar[Entity] = SALES_SETTINGS
    record: SalesSettingsRecord


class SalesSettingsCreated(SalesSettingsEvent):
    """The sales settings were set up."""

    type: ClassVar[str] = "crm.sales.sales_settings.created.v1"


class SalesSettingsUpdated(SalesSettingsEvent):
    """The sales settings changed."""

    type: ClassVar[str] = "crm.sales.sales_settings.updated.v1"


class SalesSettingsSnapshot(SalesSettingsEvent):
    """The current sales settings, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.sales_settings.snapshot.v1"
