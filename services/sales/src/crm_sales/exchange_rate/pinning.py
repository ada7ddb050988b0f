"""Amounts in base currency. Each money field has a sibling at the rate pinned when the record got its first amount."""

from decimal import Decimal

from sqlalchemy import bindparam, select

from crm_contracts.money import Money, MoneyError, convert
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.store.record import Record
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.model import ExchangeRate

RATE_IN_FORCE = (
    select(ExchangeRate.rate)
    .where(ExchangeRate.currency == bindparam("currency"), ExchangeRate.valid_from <= bindparam("today"))
    .order_by(ExchangeRate.valid_from.desc())
    .limit(1)
)


async def pin_amounts(
    uow: UnitOfWork, record: Record, fields: tuple[str, ...], *, currency_at: str | None = None
) -> None:
    """Set ``<field>_base`` of each money field. The rate is looked up once in the life of a record.

    ``currency_at`` is the pointer to the field that sets the currency, if that is not the first amount.

    422 ``currency-mismatch`` if the fields differ from each other or from the record's currency, ``no-exchange-rate``
    if no rate applies today, ``too-large`` if an amount in base currency has more digits than money may have.
    """
    amounts = {field: getattr(record, field) for field in fields}
    given = {field: amount for field, amount in amounts.items() if amount is not None}
    currency = _currency_of(uow, record, fields, given)
    if currency is None:
        record.exchange_rate = None  # type: ignore[attr-defined]  # every record with money fields has the column
    elif record.exchange_rate is None:  # type: ignore[attr-defined]
        record.exchange_rate = await _rate(uow, currency, currency_at or f"/{next(iter(given))}/currency")  # type: ignore[attr-defined]
    base = uow.runtime.directory.organization.base_currency
    for field, amount in amounts.items():
        in_base = None if amount is None else _in_base(amount, record.exchange_rate, base, field)  # type: ignore[attr-defined]
        if in_base is not None or record.__dict__.get(f"{field}_base_amount") is not None:
            setattr(record, f"{field}_base", in_base)


def _in_base(amount: Money, rate: Decimal, base: str, field: str) -> Money:
    try:
        return convert(amount, rate, base)
    except MoneyError as error:
        message = said("Send a smaller amount: in base currency, {error}.", error=error.args[0])
        raise InvalidValue(f"/{field}/amount", "too-large", message) from error


def _currency_of(uow: UnitOfWork, record: Record, fields: tuple[str, ...], given: dict[str, Money]) -> str | None:
    before = uow.before(record) or {}
    currency = next((before[f"{field}_currency"] for field in fields if before.get(f"{field}_currency")), None)
    for field, amount in given.items():
        currency = currency or amount.currency
        if amount.currency != currency:
            message = said("Send the amount in {currency}, the currency of this record.", currency=currency)
            raise InvalidValue(f"/{field}/currency", "currency-mismatch", message)
    return currency if given else None


async def _rate(uow: UnitOfWork, currency: str, pointer: str) -> Decimal:
    if currency == uow.runtime.directory.organization.base_currency:
        return Decimal(1)
    rate: Decimal | None = (
        await uow.execute(RATE_IN_FORCE, {"currency": currency, "today": today(uow)})
    ).scalar_one_or_none()
    if rate is None:
        message = said("No exchange rate for {currency} is in force today. Add one first.", currency=currency)
        raise InvalidValue(pointer, "no-exchange-rate", message)
    return rate
