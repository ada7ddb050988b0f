"""The initial data of an organisation: the four stages of domain.md and the settings."""

from decimal import Decimal

from sqlalchemy import func, select

from crm_contracts.sales.choices import CustomerCreation, HeaderDiscount, TaxRounding
from crm_contracts.sales.reference import SalesSettingsCreated, SalesStageCreated
from crm_kit.work.uow import UnitOfWork
from crm_sales.sales_stage.model import SalesStage
from crm_sales.settings.model import SETTINGS_ID, SalesSettings

STAGES = (("qualify", 10), ("develop", 30), ("propose", 60), ("close", 90))


async def seed(uow: UnitOfWork) -> None:
    """Insert the initial data once, so that renamed and deleted stages do not return."""
    settings = (await uow.execute(select(func.count()).select_from(SalesSettings))).scalar_one()
    if settings:
        return
    uow.add(
        SalesSettings(
            id=SETTINGS_ID,
            customer_creation=CustomerCreation.ON_QUALIFY,
            tax_rounding=TaxRounding.LINE,
            header_discount=HeaderDiscount.AFTER_TAX,
        ),
        SalesSettingsCreated,
    )
    for position, (name, probability) in enumerate(STAGES, start=1):
        uow.add(SalesStage(name=name, position=position, probability=Decimal(probability)), SalesStageCreated)
