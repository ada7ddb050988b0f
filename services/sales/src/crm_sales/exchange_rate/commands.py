"""Commands on exchange rates. Pinned amounts keep the rate at which they were pinned."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.reference import ExchangeRateCreated, ExchangeRateDeleted, ExchangeRateUpdated
from crm_kit.errors import InvalidValue
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.model import ExchangeRate
from crm_sales.exchange_rate.schemas import ExchangeRateCreate, ExchangeRateUpdate


async def create_rate(uow: UnitOfWork, body: ExchangeRateCreate) -> ExchangeRate:
    """Create a rate of the organisation."""
    await uow.start(ExchangeRate)
    rate = ExchangeRate(**dict(body))
    _require_foreign(uow, rate)
    return uow.add(rate, ExchangeRateCreated)


async def update_rate(uow: UnitOfWork, rate_id: UUID, body: ExchangeRateUpdate) -> ExchangeRate:
    """Correct a rate. Only amounts that are pinned later use it."""
    rate = await uow.get(ExchangeRate, rate_id, Privilege.WRITE)
    apply(rate, body.onto(rate))
    _require_foreign(uow, rate)
    return uow.emit_if_changed(rate, ExchangeRateUpdated)


async def delete_rate(uow: UnitOfWork, rate_id: UUID) -> None:
    """Delete a rate. No record refers to it: pinned amounts have a copy."""
    rate = await uow.get(ExchangeRate, rate_id, Privilege.DELETE)
    uow.remove(rate, ExchangeRateDeleted)


def _require_foreign(uow: UnitOfWork, rate: ExchangeRate) -> None:
    base = uow.runtime.directory.organization.base_currency
    if rate.currency == base:
        raise InvalidValue("/currency", "base-currency", "Send another currency: the base currency needs no rate.")
