"""What clients send about the settings of sales."""

from pydantic import ConfigDict

from crm_contracts.sales.choices import CustomerCreation, HeaderDiscount, TaxRounding
from crm_kit.records.patch import Patch, optional


class SalesSettingsUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_creation": "on_win", "tax_rounding": "document"}]}
    )

    customer_creation: CustomerCreation = optional(
        "`on_qualify` makes account and contact when a lead is qualified, `on_win` when its deal is won."
    )
    tax_rounding: TaxRounding = optional(
        "`line` rounds the tax of each line, `document` once for each tax percentage (EN 16931, BR-CO-17). It holds for new "
        "quotes, orders and invoices."
    )
    header_discount: HeaderDiscount = optional(
        "`before_tax` subtracts the discount on the subtotal before tax is computed, `after_tax` leaves the tax as it is. It "
        "holds for new quotes, orders and invoices."
    )
