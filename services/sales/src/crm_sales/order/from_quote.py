"""Make an order of a quote, once (Dataverse: ConvertQuoteToSalesOrder)."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.order import OrderCreated
from crm_contracts.sales.quote import QuoteUpdated
from crm_kit.errors import DomainError
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_active_customer
from crm_sales.document.pricing import pin
from crm_sales.document.references import hold_deal
from crm_sales.order.model import Order
from crm_sales.order.schemas import OrderOfQuote
from crm_sales.quote.commands import accept
from crm_sales.quote.model import Quote

TAKEN_OVER = (
    "opportunity_id",
    "campaign_id",
    "customer_type",
    "customer_id",
    "bill_to",
    "ship_to",
    "payment_terms",
    "payment_conditions",
    "price_list_id",
    "currency",
    "tax_rounding",
    "header_discount",
    "discount_percent",
    "discount_amount",
    "freight",
    "description",
)


async def order_quote(uow: UnitOfWork, quote_id: UUID, body: OrderOfQuote) -> Order:
    """Make an order of the quote at its prices and lock them. An active quote is won by it.

    The deal is locked before the quote, as in winning the deal, so that the win sees every order.
    """
    uow.principal.require(Quote.entity(), Privilege.WRITE)
    deal = await hold_deal(uow, Quote, quote_id)
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    if quote.order_id is not None:
        members = {"order_id": str(quote.order_id)}
        raise DomainError("already-ordered", "An order already exists for this quote.", members=members)
    quote.require("order")
    if deal is not None and deal.status == "lost":
        raise DomainError("inactive-reference", "The quote's deal is lost. Reopen the deal first.")
    await require_active_customer(uow, quote)
    order = Order(
        id=new_id(),
        number=await uow.number(Order.numbered),
        name=body.name or quote.name,
        quote_id=quote.id,
        requested_delivery=body.requested_delivery,
        prices_locked=True,
        **{field: getattr(quote, field) for field in TAKEN_OVER},
    )
    order.keep_lines(quote.priced_lines)
    await pin(uow, order)
    if quote.status == "active":
        accept(uow, quote, order.id)
    else:
        quote.order_id = order.id
        uow.emit(quote, QuoteUpdated)
    return uow.add(order, OrderCreated)
