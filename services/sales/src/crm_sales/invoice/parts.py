"""Drafts made of another document: an invoice of an order, a credit note of an invoice."""

from typing import Any

from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceLine
from crm_contracts.sales.pricing import PricedLine
from crm_kit.store.record import new_id
from crm_sales.document.model import SalesDocument
from crm_sales.invoice.model import Invoice
from crm_sales.pricing.shares import Amounts

TAKEN_OVER = (
    "name",
    "opportunity_id",
    "campaign_id",
    "customer_type",
    "customer_id",
    "bill_to",
    "ship_to",
    "price_list_id",
    "currency",
    "tax_rounding",
    "header_discount",
    "discount_percent",
)
PRICE = tuple(PricedLine.model_fields)


def draft_part(source: SalesDocument, kind: InvoiceKind, share: Amounts, **more: Any) -> Invoice:
    """Draft an invoice over this share of an order or invoice, for the same customer. Its lines keep their ids."""
    invoice = Invoice(id=new_id(), kind=kind, **{field: getattr(source, field) for field in TAKEN_OVER}, **more)
    lines = [_part(line, share, kind) for line in source.priced_lines if line.id in share.lines]
    invoice.lines = [line.model_dump(mode="json") for line in lines]
    invoice.product_ids = sorted({line.product_id for line in lines if line.product_id is not None})
    invoice.discount_amount = None if source.discount_amount is None else share.discount_amount
    invoice.freight = None if source.freight is None else share.freight
    invoice.subtotal, invoice.discount_total = share.subtotal, share.discount_total
    invoice.tax_total, invoice.total = share.tax_total, share.total
    invoice.begin()
    return invoice


def _part(line: PricedLine, share: Amounts, kind: InvoiceKind) -> InvoiceLine:
    part = share.lines[line.id]
    of_order = line.id if kind is InvoiceKind.INVOICE else getattr(line, "order_line_id", None)
    return InvoiceLine(
        **{field: getattr(line, field) for field in PRICE}
        | {"quantity": part.quantity, "manual_discount": part.manual_discount, "net": part.net, "tax": part.tax},
        order_line_id=of_order,
        credited_quantity=0,
    )
