"""Percentages, rates, quantities, counts, and amounts of money that are not negative."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from crm_contracts.money import Money

from .marks import CONSUMING

_CENT: Final = Decimal("0.01")


def _percent(value: Any, info: ValidationInfo, most: str = "100", step: Decimal = _CENT) -> Decimal:
    expected = {"most": most}
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("percent", "a percentage is a number from 0 to {most}", expected)
    number = Decimal(str(value))
    if not number.is_finite() or not 0 <= number <= Decimal(most):
        raise PydanticCustomError("percent", "a percentage is a number from 0 to {most}", expected)
    exact = number.quantize(step)
    # A client that computes 57 * 0.01 sends 0.5700000000000001 for 0.57.
    if abs(number - exact) > Decimal("1e-9"):
        if info.context is not None and info.context.get(CONSUMING):
            # Another release may take more decimals.
            return number
        decimals = {**expected, "decimals": -int(step.as_tuple().exponent)}
        raise PydanticCustomError(
            "percent", "Send a number from 0 to {most} with at most {decimals} decimals.", decimals
        )
    return exact


def _price_percent(value: Any, info: ValidationInfo) -> Decimal:
    return _percent(value, info, "999.99")


def _tax_percent(value: Any, info: ValidationInfo) -> Decimal:
    exact = _percent(value, info, step=Decimal("0.001"))
    # A rate without a third decimal is written as before.
    return exact.quantize(_CENT) if exact == exact.quantize(_CENT) else exact


def percent_json(value: Decimal) -> int | float:
    """Return a percentage as the shortest JSON number: 30, 12.5."""
    whole = int(value)
    return whole if value == whole else float(value)


def _usual_percent(value: Any, info: ValidationInfo) -> Decimal:
    return _percent(value, info)


Percent = Annotated[
    Decimal,
    PlainValidator(_usual_percent),
    PlainSerializer(percent_json, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.01}, mode="validation"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}, mode="serialization"),
]
"""0 to 100 with at most two decimals: Decimal in Python, a number in JSON."""

TaxPercent = Annotated[
    Decimal,
    PlainValidator(_tax_percent),
    PlainSerializer(percent_json, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001}, mode="validation"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}, mode="serialization"),
]
"""A tax rate in percent, 0 to 100 with at most three decimals, such as 8.875: Decimal in Python, a number in JSON."""

PricePercent = Annotated[
    Decimal,
    PlainValidator(_price_percent),
    PlainSerializer(percent_json, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 999.99, "multipleOf": 0.01}, mode="validation"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 999.99}, mode="serialization"),
]
"""A price in percent of another, 0 to 999.99 with at most two decimals: Decimal in Python, a number in JSON."""


_RATE: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,10})?", re.ASCII)


def _rate(value: Any) -> Decimal:
    if isinstance(value, str) and _RATE.fullmatch(value):
        number = Decimal(value)
    elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        number = Decimal(value)
        if not number.is_finite() or number >= 10**10 or number != round(number, 10):
            raise PydanticCustomError("rate", "Send a rate with at most 10 integer digits and 10 decimals.")
    else:
        raise PydanticCustomError("rate", 'Send the rate as a decimal string such as "1.0842"; a float is not exact.')
    if number <= 0:
        raise PydanticCustomError("rate", "Send a rate above zero.")
    return number


def rate_text(value: Decimal) -> str:
    """Return a rate as decimal text without trailing zeros: 1.0842, 100."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


Rate = Annotated[
    Decimal,
    PlainValidator(_rate),
    PlainSerializer(rate_text, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?!0+(\.0+)?$)[0-9]{1,10}(\.[0-9]{1,10})?$", "examples": ["1.0842"]}
    ),
]
"""A rate above zero with at most 10 integer digits and 10 decimals, as decimal text in JSON."""

_QUANTITY: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,5})?", re.ASCII)


def _amount_of_things(value: Any) -> Decimal:
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return Decimal(value)
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        number = Decimal(value)
        if number.is_finite() and 0 <= number < 10**10 and number == round(number, 5):
            return number
    raise PydanticCustomError(
        "quantity", 'Send a decimal string such as "2.5" with at most 10 integer digits and 5 decimals.'
    )


def _quantity(value: Any) -> Decimal:
    number = _amount_of_things(value)
    if number == 0:
        raise PydanticCustomError("quantity", "Send a quantity above zero.")
    return number


QuantityOrZero = Annotated[
    Decimal,
    PlainValidator(_amount_of_things),
    PlainSerializer(rate_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,5})?$", "examples": ["0"]}),
]
"""A quantity of zero or more, with at most 10 integer digits and 5 decimals: decimal text in JSON."""

Quantity = Annotated[
    Decimal,
    PlainValidator(_quantity),
    PlainSerializer(rate_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(?!0+(\.0+)?$)[0-9]{1,10}(\.[0-9]{1,5})?$", "examples": ["2.5"]}),
]
"""A quantity above zero, with at most 10 integer digits and 5 decimals: decimal text in JSON."""


Flag = Annotated[bool, Strict()]
"""true or false, but not text or a number."""

Count = Annotated[int, Strict(), Field(ge=0, le=2_147_483_647)]
"""A whole number from 0 to 2,147,483,647."""

Decimals = Annotated[int, Strict(), Field(ge=0, le=5)]
"""The number of decimals of a quantity, 0 to 5."""


def _not_negative(value: Money) -> Money:
    if value.amount < 0:
        raise PydanticCustomError("money_negative", "Send an amount of zero or more.")
    return value


class _NotNegative:
    """Adds the rule to the schema of requests, next to the reference to Money. Tools that ignore it still see Money."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = handler(schema)
        return {**found, "properties": {"amount": {"pattern": "^[0-9]"}}} if handler.mode == "validation" else found


NonNegativeMoney = Annotated[Money, AfterValidator(_not_negative), _NotNegative()]
"""Money of zero or more."""
