"""Prices of one unit: up to four more decimals than the currency has. Amounts of lines and documents are Money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from crm_contracts.sentences import said

from .money import EXPONENTS, MAX_INTEGER_DIGITS, Money, MoneyError, exponent

MORE_DECIMALS: Final = 4
"""How many decimals a unit price may have beyond those of its currency."""

_LIMIT: Final = Decimal(10) ** MAX_INTEGER_DIGITS
_EXACT: Final = Context(prec=40, traps=[Inexact, InvalidOperation])
_ROUNDING: Final = Context(prec=60, rounding=ROUND_HALF_UP, traps=[InvalidOperation])
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,8})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The price of one unit, zero or more. It has at least the decimals of its currency, and no zeros behind those."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        decimals = exponent(self.currency)
        try:
            exact = self.amount.quantize(Decimal(1).scaleb(-decimals - MORE_DECIMALS), context=_EXACT)
        except Inexact:
            raise MoneyError(
                said(
                    "a unit price in {currency} has at most {decimals} decimals",
                    currency=self.currency,
                    decimals=decimals + MORE_DECIMALS,
                )
            ) from None
        except InvalidOperation:
            raise MoneyError("an amount is a finite decimal number") from None
        # What it rounds to is shown as Money, which has the same limit.
        if exact < 0 or exact.quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING) >= _LIMIT:
            raise MoneyError(
                said("a unit price is zero or more, with at most {most} integer digits", most=MAX_INTEGER_DIGITS)
            )
        shortest = max(decimals, -int(exact.normalize().as_tuple().exponent))
        object.__setattr__(self, "amount", abs(exact.quantize(Decimal(1).scaleb(-shortest), context=_EXACT)))

    @classmethod
    def parse(cls, amount: str | int, currency: str) -> UnitPrice:
        """Return a price from a plain decimal text or an integer.

        Raises MoneyError, also for zeros at the end beyond the currency's decimals, because "1.200" EUR may stand for 1,200.
        """
        text = str(amount) if isinstance(amount, int) and not isinstance(amount, bool) else amount
        if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
            raise MoneyError('a unit price is a decimal string such as "0.00125"')
        decimals = text.partition(".")[2]
        if len(decimals) > exponent(currency) and decimals.endswith("0"):
            raise MoneyError(
                said(
                    "{currency} has {exponent} decimals; more of them must not end in 0",
                    currency=currency,
                    exponent=exponent(currency),
                )
            )
        return cls(Decimal(text), currency)

    @classmethod
    def of(cls, money: Money) -> UnitPrice:
        """Return an amount of money as a price. Raises MoneyError for one below zero."""
        return cls(money.amount, money.currency)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> UnitPrice:
        """Return a price from any amount, rounded half up to four more decimals than the currency has."""
        step = Decimal(1).scaleb(-exponent(currency) - MORE_DECIMALS)
        return cls(amount.quantize(step, context=_ROUNDING), currency)

    @property
    def is_fine(self) -> bool:
        """Whether it has more decimals than the currency."""
        return -int(self.amount.as_tuple().exponent) > exponent(self.currency)

    @property
    def money(self) -> Money:
        """The price rounded half up to the decimals of the currency."""
        return Money.rounded(self.amount, self.currency)

    def as_json(self) -> dict[str, str]:
        """Return the JSON: {"amount": "0.00125", "currency": "EUR"}."""
        return {"amount": f"{self.amount:f}", "currency": self.currency}

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _from_wire,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.as_json, return_schema=core_schema.dict_schema()
            ),
            ref="crm_contracts.unit_price.UnitPrice",
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        currency: dict[str, Any] = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code."}
        if handler.mode == "validation":
            currency["enum"] = sorted(EXPONENTS)
        return {
            "title": "UnitPrice",
            "type": "object",
            "description": "The exact price of one unit, zero or more.",
            "properties": {
                "amount": {
                    "type": "string",
                    "pattern": r"^[0-9]{1,15}(\.[0-9]{1,8})?$",
                    "description": "Decimal text with up to four more decimals than the currency has (EUR 6, JPY 4, KWD 7). It "
                    "does not end in 0 beyond those of the currency.",
                },
                "currency": currency,
            },
            "required": ["amount", "currency"],
            "additionalProperties": False,
            "examples": [{"amount": "0.00125", "currency": "EUR"}],
        }


def both(price: Money | UnitPrice) -> tuple[Money, UnitPrice | None]:
    """Return a price as money, rounded half up, and exactly; None if the money is exact."""
    if isinstance(price, Money):
        return price, None
    return price.money, price if price.is_fine else None


def chosen(price: UnitPrice | None, exact: UnitPrice | None) -> UnitPrice | None:
    """Return the price that a client means who may send back both as they were read.

    The exact one counts if it is alone, or rounds to the other. Else the other was changed since.
    """
    if exact is None or price is None:
        return price or exact
    return exact if not price.is_fine and exact.money == price.money else price


def as_shown(price: UnitPrice | None, was: Money | UnitPrice | None) -> UnitPrice | None:
    """Return the exact price that a client means who knows only the rounded one, and sends it back as it was read.

    ``was`` is the price before the request. None means that the client gave a price of its own.
    """
    if price is None or not isinstance(was, UnitPrice) or not was.is_fine:
        return None
    return was if not price.is_fine and price.money == was.money else None


def _from_wire(value: Any) -> UnitPrice:
    if isinstance(value, UnitPrice):
        return value
    try:
        if isinstance(value, Money):
            return UnitPrice.of(value)
        if not isinstance(value, dict) or value.keys() != {"amount", "currency"}:
            raise PydanticCustomError("money", 'Send an object such as {"amount": "0.00125", "currency": "EUR"}.')
        if not isinstance(value["currency"], str) or value["currency"] not in EXPONENTS:
            raise PydanticCustomError("money_currency", "Send an active ISO 4217 currency code.")
        return UnitPrice.parse(value["amount"], value["currency"])
    except MoneyError as error:
        raise PydanticCustomError("money", "Send a valid amount: {reason}.", {"reason": str(error)}) from None
