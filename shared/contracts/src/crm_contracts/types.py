"""The types of fields, which API schemas, events and filters share."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Self, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.networks import validate_email
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .countries import COUNTRIES
from .money import EXPONENTS, Money

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

CONSUMING: Final = "consuming"
"""The key of the validation context for values of other releases. With it, unknown enum values are kept."""

STORED: Final = "stored"
"""The key of the validation context for records that are stored. Their texts were accepted, perhaps by an earlier release."""


class PersonalMark:
    """Marks a field as personal data. It must not be in logs, spans, metrics or problem details, and erasure uses this mark."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-personal": True}

    def __repr__(self) -> str:
        return "PersonalMark()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PersonalMark)

    def __hash__(self) -> int:
        return hash(PersonalMark)


Personal = Annotated[T, PersonalMark()]
"""A field with personal data: `Personal[Email]`, `Personal[str | None]`."""


class OpenMark:
    """Lets an enum field keep an unknown value as plain text when an event is consumed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        enum: type[StrEnum] = next(arg for arg in get_args(source) if arg is not str)
        expected = ", ".join(enum)

        def unknown(value: str, info: core_schema.ValidationInfo) -> str:
            if info.context is not None and info.context.get(CONSUMING):
                return value
            raise PydanticCustomError("enum", "Send one of {expected}.", {"expected": expected})

        kept = core_schema.with_info_after_validator_function(unknown, core_schema.str_schema())
        return core_schema.union_schema(
            [handler(enum), kept],
            mode="left_to_right",
            custom_error_type="enum",
            custom_error_context={"expected": expected},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # An API uses only the values of its own release. The schemas of events allow others, too.
        known: CoreSchema = schema["choices"][0]
        return {**handler(known), "x-extensible-enum": True}


Open = Annotated[E | str, OpenMark()]
"""An enum to which later releases may add values: `Open[LeadSource]`. Consumers get unknown values as `str`."""


def blank_to_none(value: Any) -> Any:
    """Return None for a text that has only white space, and other values unchanged."""
    return None if isinstance(value, str) and not value.strip() else value


class BlankMark:
    """Reads blank text as null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(blank_to_none, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = handler(schema)
        if handler.mode == "validation":
            known.setdefault("anyOf", []).append({"type": "string", "pattern": r"^[ \t\r\n]*$", "maxLength": 200})
        return known


Maybe = Annotated[T | None, BlankMark()]
"""An optional input field in which blank text means null: `Maybe[Email]`."""

FORMS: Final[dict[str, str]] = {}
"""Sentences that describe the required form of a text, by pattern."""


def form(pattern: str, sentence: str) -> str:
    """Register the sentence for texts that do not match a pattern, and return the pattern."""
    FORMS[pattern] = sentence
    return pattern


# Trimmed text needs a character that is not white space, and texts of PostgreSQL cannot contain U+0000. The pattern shows both.
_SAYS_SOMETHING: Final = form(
    r"^[^\u0000]*[^\u0000\s][^\u0000]*$", "Send text with at least one visible character and without U+0000."
)

_UNSEEN: Final = (
    r"\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
"""White space, control characters, and characters that only join, separate or direct others."""
VISIBLE: Final = form(
    rf"^[^\u0000]*[^{_UNSEEN}][^\u0000]*$", "Send text with at least one visible character and without U+0000."
)
_SEEN: Final = re.compile(f"[^{_UNSEEN}]")

_BREAKS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
"""Control characters (C0, DEL, C1) and separators of lines and paragraphs."""
ONE_LINE: Final = form(
    rf"^\s*[^{_BREAKS}]*[^{_UNSEEN}][^{_BREAKS}]*\s*$",
    "Write this in one line: leave out line breaks, tabs and other control characters.",
)
_BREAK: Final = re.compile(f"[{_BREAKS}]")


def composed(text: str) -> str:
    """Return a text in Unicode's form NFC, in which texts are stored and compared. It combines letters with their accents."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class TextMark:
    """Reads text in NFC, and refuses text without a visible character, and with `in_one_line` control characters, too. Consumed
    events and stored records keep it, because another release has accepted it.

    Characters that only join others stay allowed inside: Khmer and Persian words and emoji need U+200B to U+200D."""

    def __init__(self, *, in_one_line: bool = False) -> None:
        self._in_one_line = in_one_line

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def _read(self, value: Any, inner: Callable[[Any], str], info: core_schema.ValidationInfo) -> str:
        text = inner(composed(value) if isinstance(value, str) else value)
        context = info.context or {}
        if context.get(CONSUMING) or context.get(STORED):
            return text
        if not _SEEN.search(text):
            raise PydanticCustomError("invisible", "{sentence}", {"sentence": FORMS[VISIBLE]})
        if self._in_one_line and _BREAK.search(text):
            raise PydanticCustomError("control-characters", "{sentence}", {"sentence": FORMS[ONE_LINE]})
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = handler(schema)
        if handler.mode == "validation":
            known["pattern"] = ONE_LINE if self._in_one_line else VISIBLE
        return known


LONG_TEXT: Final = 32_000
"""The most characters of a long text."""

ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_SAYS_SOMETHING),
    TextMark(in_one_line=True),
]
"""Text in one line, in NFC, trimmed, 1 to 200 characters with a visible one among them, without control characters."""

LongText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONG_TEXT, pattern=_SAYS_SOMETHING),
    TextMark(),
]
"""Text in NFC, trimmed, 1 to 32,000 characters with a visible one among them, without U+0000."""

_EMAIL: Final = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@"
    r"(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9])",
    re.ASCII,
)


def normal_email(value: str) -> str:
    """Return the normal form of an address: trimmed, its domain in lower case and in its own script (RFC 5890's U-labels), and
    its local part in NFC (RFC 6532).

    Raises PydanticCustomError if it is not valid by RFC 5321 or RFC 6531.
    """
    text = value.strip()
    known = _ascii_email(text)
    if known is not None and "@xn--" not in known and ".xn--" not in known:
        return known
    # An address of a domain that is written in ASCII and cannot be shown in its script was taken by earlier releases.
    normal = _international_email(text) or known
    if normal is None:
        raise PydanticCustomError("email", "Send an e-mail address such as ada@example.org.")
    return normal


def login_email(value: str) -> str:
    """Return the normal form of an address with which a user logs in: trimmed, its domain in lower case. A domain of another
    script stays in its ASCII form (RFC 5890's A-labels), because log-in names are compared in ASCII.

    Raises PydanticCustomError if it is not valid by RFC 5321.
    """
    known = _ascii_email(value.strip())
    if known is None:
        raise PydanticCustomError(
            "login_email",
            "Send an e-mail address of letters a to z, digits and signs, such as ada@example.org, because it is a log-in.",
        )
    return known


def _ascii_email(text: str) -> str | None:
    match = _EMAIL.fullmatch(text) if len(text) <= 254 else None
    return f"{match['local']}@{match['domain'].lower()}" if match is not None and len(match["local"]) <= 64 else None


def _international_email(text: str) -> str | None:
    # Pydantic takes "Ada <ada@example.org>", too.
    if "<" in text or len(text) > 254 or (text.isascii() and "xn--" not in text.lower()):
        return None
    try:
        normal = validate_email(text)[1]
    except PydanticCustomError:
        return None
    return normal if len(normal.rpartition("@")[0]) <= 64 else None


def _email(value: str, info: ValidationInfo) -> str:
    """Return an address in its normal form. Consumed events and stored records keep what another release has accepted."""
    context = info.context or {}
    return value if context.get(CONSUMING) or context.get(STORED) else normal_email(value)


Email = Annotated[
    str,
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.org"]}),
    WithJsonSchema(
        {"type": "string", "format": "idn-email", "maxLength": 254, "examples": ["ada@example.org"]}, mode="validation"
    ),
]
"""An e-mail address (RFC 5321 lengths; RFC 6531 for other scripts), trimmed, domain in lower case and in its own script."""

LoginEmail = Annotated[
    str,
    AfterValidator(login_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.org"]}),
]
"""An e-mail address in ASCII (RFC 5321) with which a user logs in, trimmed, domain in lower case."""

Phone = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        pattern=form(
            r"^\+[1-9][0-9]{6,14}$", "Write the number with + and its country code, then digits alone: +491701234567."
        ),
    ),
    Field(examples=["+491701234567"]),
]
"""A telephone number in E.164 form."""

_URL: Final = re.compile(
    r"https?://[^\s/?#@\x00-\x1f\ud800-\udfff]+(?:[/?#][^\s\x00-\x1f\ud800-\udfff]*)?", re.IGNORECASE
)


def _url(value: str) -> str:
    text = value.strip()
    if len(text) > 2000 or not _URL.fullmatch(text):
        raise PydanticCustomError("url", "Send an http or https URL of at most 2000 characters.")
    return text


Url = Annotated[
    str,
    AfterValidator(_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 2000,
            "pattern": r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?([/?#][!-~]*)?$",
            "examples": ["https://example.org"],
        }
    ),
]
"""An http or https address of at most 2000 characters."""


def _country(value: str) -> str:
    code = value.strip().upper()
    if code not in COUNTRIES:
        raise PydanticCustomError("country", "Send an ISO 3166-1 alpha-2 country code.")
    return code


def _currency(value: str) -> str:
    code = value.strip().upper()
    if code not in EXPONENTS:
        raise PydanticCustomError("currency", "Send an active ISO 4217 currency code.")
    return code


CountryCode = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "enum": sorted(COUNTRIES), "examples": ["DE"]}, mode="validation"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["DE"]}, mode="serialization"),
]
"""ISO 3166-1 alpha-2, upper case."""

CurrencyCode = Annotated[
    str,
    AfterValidator(_currency),
    WithJsonSchema({"type": "string", "enum": sorted(EXPONENTS), "examples": ["EUR"]}, mode="validation"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]}, mode="serialization"),
]
"""ISO 4217 code of an active currency, upper case."""

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


def _each_once(ids: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


Ids = Annotated[list[UUID], Field(max_length=50), AfterValidator(_each_once)]
"""At most 50 ids, in their order. Repeated ids are removed."""

Flag = Annotated[bool, Strict()]
"""true or false, but not text or a number."""

Count = Annotated[int, Strict(), Field(ge=0, le=2_147_483_647)]
"""A whole number from 0 to 2,147,483,647."""

Decimals = Annotated[int, Strict(), Field(ge=0, le=5)]
"""The number of decimals of a quantity, 0 to 5."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _date(value: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise PydanticCustomError("date", "Send a day that exists.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise PydanticCustomError("date", "Send a date of the form YYYY-MM-DD.")


Date = Annotated[
    date,
    PlainValidator(_date),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-05-04"]}),
]
"""A calendar date in the organisation's time zone, YYYY-MM-DD."""


def _utc(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise PydanticCustomError("datetime", "Send an RFC 3339 time such as 2026-05-04T09:30:00Z.") from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise PydanticCustomError("datetime", "Send an RFC 3339 time with its offset, such as 2026-05-04T09:30:00Z.")
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime", "Send a time that is within the years 1 to 9999 in UTC.") from None


def utc_text(value: datetime) -> str:
    """Return an instant as RFC 3339 with Z. Microseconds are left out if they are 0."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


UtcDatetime = Annotated[
    datetime,
    PlainValidator(_utc),
    PlainSerializer(utc_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-05-04T09:30:00Z"]}),
]
"""An instant. Input may have any offset; the value is stored and written in UTC."""


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

EntityName = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^[a-z][a-z_]{0,49}$", "Write the name of a kind of record, in small letters with underscores: lead."
        )
    ),
]
"""The singular snake_case name of an entity, such as `lead`."""


class Shape(BaseModel):
    """A value inside a record. Validation is strict for producers and lenient for consumers (see `Event.consume`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    @classmethod
    def stored(cls, value: Any) -> Self:
        """Read a stored value, which a newer release may have written. Unknown members are left out. Unknown enum values stay
        plain text. Raises pydantic.ValidationError."""
        return cls.model_validate(value, extra="ignore", context={CONSUMING: True})


class Address(Shape):
    """A postal address. Unknown parts are null."""

    line1: Maybe[ShortText] = Field(default=None, description="Street and number.")
    line2: Maybe[ShortText] = Field(default=None, description="Building, floor, care of.")
    city: Maybe[ShortText] = Field(default=None, description="Town or city.")
    region: Maybe[ShortText] = Field(default=None, description="State, province or county.")
    postal_code: Maybe[ShortText] = Field(default=None, description="Postal code as written locally.")
    country: Maybe[CountryCode] = Field(default=None, description="ISO 3166-1 alpha-2 country code.")


class Ref(Shape):
    """A reference to a record of one of several types, with its name as of writing."""

    type: EntityName = Field(description="Entity of the record, singular snake_case.", examples=["contact"])
    id: UUID = Field(description="Id of the record.")
    name: Personal[str | None] = Field(
        default=None, description="Name of the record as of writing; read-only; null when not known."
    )
    deleted: bool = Field(default=False, description="True if the record was deleted and only its name is left.")


HiddenMark = Annotated[
    Literal[True], Field(description="Always true: you may not read the record, so only its type and id are shown.")
]
"""The member `hidden` of references in answers to callers who may not read the record. Events do not have it."""


class HiddenRef(Ref):
    """A reference to a record that you may not read. It has type and id, and no name."""

    hidden: HiddenMark


class RefInput(Shape):
    """A reference in a request. Members other than type and id may be sent and are ignored."""

    type: EntityName = Field(
        max_length=100, description="Entity of the record, singular snake_case.", examples=["contact"]
    )
    id: UUID = Field(description="Id of the record.")
    name: Personal[str | None] = Field(
        default=None,
        max_length=1000,
        exclude=True,
        description="Read-only; ignored.",
        json_schema_extra={"readOnly": True},
    )
    deleted: bool | None = Field(
        default=None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    hidden: bool | None = Field(
        default=None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )


class Principal(Shape):
    """A user, a team or an API client."""

    type: str = Field(description="`user`, `team` or `client`.", examples=["user"])
    id: UUID = Field(description="Id of the user, team or API client.")


def personal_fields(model: type[BaseModel]) -> set[str]:
    """Return the dotted paths of a model's personal fields. Lists add nothing to the path (`parties.name`)."""
    return set(_personal(model, "", frozenset()))


def _personal(model: type[BaseModel], prefix: str, above: frozenset[type[BaseModel]]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if any(isinstance(mark, PersonalMark) for mark in field.metadata) or _is_personal(field.annotation):
            yield path
            continue
        for inner in _models(field.annotation):
            if inner not in above:
                yield from _personal(inner, f"{path}.", above | {model})


def _is_personal(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated and any(isinstance(mark, PersonalMark) for mark in annotation.__metadata__):
        return True
    if get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict):
        return any(_is_personal(argument) for argument in get_args(annotation))
    return False


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
