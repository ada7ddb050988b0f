"""Look up settings for commands."""

from sqlalchemy import select

from crm_kit.work.uow import UnitOfWork
from crm_sales.pricing.tax import TaxRules
from crm_sales.settings.model import SalesSettings

TAX_RULES = select(SalesSettings.tax_rounding, SalesSettings.header_discount).limit(1)


async def tax_rules(uow: UnitOfWork) -> TaxRules:
    """Return how new quotes, orders and invoices are taxed."""
    (row,) = await uow.look_up(TAX_RULES, {})
    return TaxRules(row["tax_rounding"], row["header_discount"])
