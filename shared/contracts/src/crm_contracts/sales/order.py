"""Orders: what a customer has bought, and which quantities were delivered and billed."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import Owner
from crm_contracts.types import (
    Address,
    Date,
    LongText,
    NonNegativeMoney,
    Open,
    Personal,
    Quantity,
    QuantityOrZero,
    Shape,
    ShortText,
    UtcDatetime,
)

from .choices import OrderStatus, OrderStatusReason, PaymentTerms
from .opportunity import CustomerRef
from .payment_conditions import PaymentConditions
from .pricing import MAX_LINES, PricedLine, PricedRecord


class OrderLine(PricedLine):
    """A line of an order, with its delivered and invoiced quantities."""

    shipped_quantity: QuantityOrZero = Field(description="Delivered quantity, at most `quantity`; read-only.")
    invoiced_quantity: QuantityOrZero = Field(
        description="How much is on invoices that are not canceled, drafts included, at most `quantity`. A credit note "
        "with `bill_again` lowers it when it is issued. Read-only."
    )


class LineQuantity(Shape):
    """A quantity of one line."""

    line_id: UUID = Field(description="Id of the line.")
    quantity: Quantity = Field(description="Quantity, above zero.")


class OrderRecord(PricedRecord):
    """An order of a customer."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["ORD-00042"])
    status: Open[OrderStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[OrderStatusReason] = Field(description="Detail of the state.")
    name: ShortText = Field(description="Name of the order, 1 to 200 characters.", examples=["Fleet of 40 cars"])
    quote_id: UUID | None = Field(
        description="Quote that it was created from. A quote can become an order only once. Read-only."
    )
    opportunity_id: UUID | None = Field(description="Deal it belongs to.")
    campaign_id: UUID | None = Field(description="Campaign that brought it: the deal's, unless given.")
    customer: CustomerRef | None = Field(description="Account or contact; may be missing while its deal has none.")
    bill_to: Personal[Address | None] = Field(description="Address for invoices.")
    ship_to: Personal[Address | None] = Field(description="Address for deliveries.")
    requested_delivery: Date | None = Field(description="When the customer wants it, in the organisation's time zone.")
    payment_terms: Open[PaymentTerms] | None = Field(description="When invoices are due; on receipt when null.")
    payment_conditions: PaymentConditions | None = Field(
        default=None,
        description="When an invoice is due as days, end of month and discount; null where `payment_terms` says it.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    prices_locked: bool = Field(
        description="Whether lines keep their prices whatever the price list says (Dataverse: LockSalesOrderPricing)."
    )
    lines: Annotated[list[OrderLine], Field(max_length=MAX_LINES)] = Field(description="What was bought, in order.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    submitted_at: UtcDatetime | None = Field(description="When it was submitted; read-only.")
    fulfilled_at: UtcDatetime | None = Field(description="When the delivery was completed; read-only.")
    canceled_at: UtcDatetime | None = Field(description="When it was canceled; read-only.")


ORDER = Entity(service="sales", name="order", collection="orders", record=OrderRecord, owned=True)


class OrderEvent(Event):
    """Something happened to an order."""

    entity: ClassVar[Entity] = ORDER
    record: OrderRecord


class OrderCreated(OrderEvent):
    """An order was created, by hand or from a quote."""

    type: ClassVar[str] = "crm.sales.order.created.v1"


class OrderUpdated(OrderEvent):
    """Fields of an order changed, it was held, resumed, repriced, its prices were locked or unlocked, or part of it was
    billed or no longer is."""

    type: ClassVar[str] = "crm.sales.order.updated.v1"


class OrderDeleted(OrderEvent):
    """An order was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.order.deleted.v1"


class OrderAssigned(OrderEvent):
    """An order was given to another owner."""

    type: ClassVar[str] = "crm.sales.order.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class OrderSubmitted(OrderEvent):
    """An order was submitted. It can be delivered and billed, and can no longer be edited."""

    type: ClassVar[str] = "crm.sales.order.submitted.v1"
    timeline = ("total", "submitted_at")
    headline = "total"
    total: NonNegativeMoney = Field(description="What the customer pays.")
    total_base: Money = Field(description="The same in base currency.")
    submitted_at: UtcDatetime = Field(description="When it was submitted.")
    credit_forced: bool = Field(
        False,
        description="Whether it was submitted although the customer is on credit hold or past the credit limit.",
        json_schema_extra={"x-since": "1.1.0"},
    )


class OrderFulfilled(OrderEvent):
    """An order was delivered completely."""

    type: ClassVar[str] = "crm.sales.order.fulfilled.v1"
    timeline = ("fulfilled_at",)
    shipped: list[LineQuantity] = Field(description="Quantities of this delivery.")
    fulfilled_at: UtcDatetime = Field(description="When it was delivered.")


class OrderPartiallyFulfilled(OrderEvent):
    """Part of an order was delivered, and a part is left."""

    type: ClassVar[str] = "crm.sales.order.partially_fulfilled.v1"
    shipped: list[LineQuantity] = Field(description="Quantities of this delivery.")


class OrderInvoiced(OrderEvent):
    """An order is completely invoiced. If only part of it is invoiced, the event is `updated`."""

    type: ClassVar[str] = "crm.sales.order.invoiced.v1"
    timeline = ("invoice_id",)
    invoice_id: UUID = Field(description="Invoice with the last part of the order. It is a draft at first.")


class OrderCanceled(OrderEvent):
    """An order was canceled before any of it was billed."""

    type: ClassVar[str] = "crm.sales.order.canceled.v1"
    timeline = ("canceled_at",)
    canceled_at: UtcDatetime = Field(description="When it was canceled.")


class OrderSnapshot(OrderEvent):
    """The current state of an order, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.order.snapshot.v1"
