"""Money: an exact decimal amount in one ISO 4217 currency. Domain code, APIs and events use the same class."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from crm_contracts.sentences import said

# ISO 4217 list one without bonds, metals and test codes, as of the amendment that removed BGN (2026-01-01).
_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY "
    "COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
    "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_ZERO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
EXPONENTS: Final[dict[str, int]] = (
    dict.fromkeys(_TWO_DECIMALS.split(), 2)
    | dict.fromkeys(_ZERO_DECIMALS.split(), 0)
    | dict.fromkeys(_THREE_DECIMALS.split(), 3)
    | dict.fromkeys(["CLF", "UYW"], 4)
)
"""The number of decimals of the minor unit, by active currency code."""

MAX_INTEGER_DIGITS: Final = 15
_LIMIT: Final = Decimal(10) ** MAX_INTEGER_DIGITS
_QUANTA: Final = {decimals: Decimal(1).scaleb(-decimals) for decimals in set(EXPONENTS.values())}
_EXACT: Final = Context(prec=40, traps=[Inexact, InvalidOperation])
_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_UP, traps=[InvalidOperation])
_CANONICAL: Final = {
    decimals: re.compile(r"[0-9]{1,15}" + (rf"\.[0-9]{{{decimals}}}" if decimals else ""), re.ASCII)
    for decimals in _QUANTA
}
_AMOUNT: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


class MoneyError(ValueError):
    """An amount or a currency is not valid. The message gives the reason."""


class CurrencyMismatch(MoneyError):
    """A sum or a comparison has amounts of two currencies."""


def exponent(currency: str) -> int:
    """Return the decimals of the currency's minor unit (EUR 2, JPY 0, KWD 3). Raises MoneyError if the code is not active."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise MoneyError(said("{currency!r} is not an active ISO 4217 currency code", currency=currency)) from None


def quantum(currency: str) -> Decimal:
    """Return the smallest amount of the currency, such as Decimal("0.01") for EUR. Raises MoneyError if it is not active."""
    return _QUANTA[exponent(currency)]


def round_half_up(amount: Decimal, currency: str) -> Decimal:
    """Return the amount with the currency's decimals. A half is rounded away from zero."""
    return amount.quantize(quantum(currency), context=_ROUNDING)


def sum_of_money(amount: Decimal | None, currency: str) -> dict[str, str]:
    """Return a sum as the JSON of Money, rounded half up; None gives 0. It may have more than 15 integer digits, which Money
    does not allow."""
    return {"amount": f"{round_half_up(amount or Decimal(0), currency):f}", "currency": currency}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with exactly the decimals of its currency and at most 15 integer digits. It may be negative."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        try:
            exact = self.amount.quantize(quantum(self.currency), context=_EXACT)
        except Inexact:
            raise MoneyError(
                said("{currency} has {exponent} decimals", currency=self.currency, exponent=exponent(self.currency))
            ) from None
        except InvalidOperation:
            raise MoneyError("an amount is a finite decimal number") from None
        if abs(exact) >= _LIMIT:
            raise MoneyError(said("an amount has at most {most} integer digits", most=MAX_INTEGER_DIGITS))
        # "-0.00" would be a second form of zero in JSON.
        object.__setattr__(self, "amount", exact if exact else abs(exact))

    @classmethod
    def parse(cls, amount: str | int, currency: str) -> Money:
        """Return money from a plain decimal text ("1200", "-3.50") or an integer.

        Raises MoneyError, also for zeros beyond the currency's decimals, because "1.200" EUR may stand for 1,200.
        """
        if isinstance(amount, bool) or not isinstance(amount, str | int):
            raise MoneyError('an amount is a decimal string such as "1200.00"')
        # Checked before conversion, because the conversion of a huge integer to text takes quadratic time.
        if isinstance(amount, int) and abs(amount) >= 10**MAX_INTEGER_DIGITS:
            raise MoneyError(said("an amount has at most {most} integer digits", most=MAX_INTEGER_DIGITS))
        if isinstance(amount, str) and not _AMOUNT.fullmatch(amount):
            raise MoneyError('an amount is a decimal string such as "1200.00"')
        if isinstance(amount, str) and len(amount.partition(".")[2]) > exponent(currency):
            raise MoneyError(said("{currency} has {exponent} decimals", currency=currency, exponent=exponent(currency)))
        return cls(Decimal(amount), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Return an amount of zero in the given currency."""
        return cls(Decimal(0), currency)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> Money:
        """Return money from any finite amount, rounded half up to the currency's decimals."""
        return cls(round_half_up(amount, currency), currency)

    @property
    def text(self) -> str:
        """The amount as in JSON, with exactly the currency's decimals."""
        return f"{self.amount:f}"

    def as_json(self) -> dict[str, str]:
        """Return the JSON: {"amount": "1200.00", "currency": "EUR"}."""
        return {"amount": f"{self.amount:f}", "currency": self.currency}

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        """Return the product, rounded half up to the currency's decimals."""
        if not isinstance(factor, Decimal | int) or isinstance(factor, bool):
            return NotImplemented
        return Money.rounded(_ROUNDING.multiply(self.amount, Decimal(factor)), self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")
        return other.amount

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        wire = core_schema.typed_dict_schema(
            {
                "amount": core_schema.typed_dict_field(core_schema.no_info_plain_validator_function(_amount)),
                "currency": core_schema.typed_dict_field(core_schema.no_info_plain_validator_function(_currency)),
            },
            # A consumer's `extra="ignore"` overrides it during validation.
            extra_behavior="forbid",
        )
        return core_schema.no_info_wrap_validator_function(
            _from_wire,
            wire,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.as_json, return_schema=core_schema.dict_schema()
            ),
            ref="crm_contracts.money.Money",
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        validating = handler.mode == "validation"
        currency: dict[str, Any] = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code."}
        if validating:
            currency["enum"] = sorted(EXPONENTS)
        return {
            "title": "Money",
            "type": "object",
            "description": "An exact amount in one currency.",
            "properties": {
                "amount": {
                    "type": "string",
                    "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$",
                    "description": "Decimal text with at most the decimals of the currency (EUR 2, JPY 0, KWD 3); "
                    "answers have exactly that many.",
                },
                "currency": currency,
            },
            "required": ["amount", "currency"],
            "additionalProperties": False,
            "examples": [{"amount": "1200.00", "currency": "EUR"}],
        }


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Return the sum of amounts in the given currency. Raises CurrencyMismatch for another currency."""
    return sum(amounts, start=Money.zero(currency))


def convert(money: Money, rate: Decimal, currency: str) -> Money:
    """Return the amount in another currency, rounded half up. `rate` is the units of `currency` per unit of the money's own.

    Raises MoneyError unless the rate is finite and above zero.
    """
    if not rate.is_finite() or rate <= 0:
        raise MoneyError("an exchange rate is a finite number above zero")
    return Money.rounded(_ROUNDING.multiply(money.amount, rate), currency)


def _amount(value: Any) -> str | int:
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise PydanticCustomError(
        "money_amount", 'Send the amount as a decimal string such as "1200.00"; a float is not exact.'
    )


def _currency(value: Any) -> str:
    if isinstance(value, str) and value in EXPONENTS:
        return value
    raise PydanticCustomError("money_currency", "Send an active ISO 4217 currency code.")


def _from_wire(value: Any, read: Callable[[Any], dict[str, Any]]) -> Money:
    if isinstance(value, Money):
        return value
    # A faster way for consumers, which read thousands of events a second with canonical amounts.
    money = _canonical(value)
    if money is not None:
        return money
    wire = read(value)
    try:
        return Money.parse(wire["amount"], wire["currency"])
    except MoneyError as error:
        raise PydanticCustomError("money", "Send a valid amount: {reason}.", {"reason": str(error)}) from None


def _canonical(value: Any) -> Money | None:
    if type(value) is not dict or len(value) != 2:
        return None
    amount, currency = value.get("amount"), value.get("currency")
    if type(amount) is not str or type(currency) is not str or currency not in EXPONENTS:
        return None
    if not _CANONICAL[EXPONENTS[currency]].fullmatch(amount):
        return None
    money = object.__new__(Money)
    object.__setattr__(money, "amount", Decimal(amount))
    object.__setattr__(money, "currency", currency)
    return money
