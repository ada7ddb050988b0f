"""Field types say what they take, and mean the same in every model."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from crm_contracts.money import Money
from crm_contracts.sales.choices import LeadSource
from crm_contracts.sales.contact import ContactRecord
from crm_contracts.sales.lead import LeadQualified
from crm_contracts.sales.opportunity import OpportunityRecord
from crm_contracts.types import (
    CONSUMING,
    STORED,
    Address,
    Count,
    CountryCode,
    CurrencyCode,
    Date,
    Email,
    Flag,
    LoginEmail,
    LongText,
    Maybe,
    NonNegativeMoney,
    Open,
    Percent,
    Personal,
    Phone,
    PricePercent,
    Rate,
    Ref,
    RefInput,
    ShortText,
    TaxPercent,
    Url,
    UtcDatetime,
    personal_fields,
)

# mypy takes a generic alias for a type only, and here it is a value.
MAYBE: Any = Maybe


def read(type_: Any, value: Any) -> Any:
    return TypeAdapter(type_).validate_python(value)


def dump(type_: Any, value: Any) -> Any:
    return TypeAdapter(type_).dump_python(value, mode="json")


@pytest.mark.parametrize(
    ("type_", "given_", "kept"),
    [
        (Email, " Ada.Lovelace+crm@Example.ORG ", "Ada.Lovelace+crm@example.org"),
        (Email, " 用户@例子.公司 ", "用户@例子.公司"),
        (Email, "用户@XN--FSQU00A.xn--55qx5d", "用户@例子.公司"),
        (Email, "ada@BÜCHER.example.org", "ada@bücher.example.org"),
        (Email, "ada@xn--bcher-kva.example.org", "ada@bücher.example.org"),
        (Email, "jose\u0301@example.org", "jos\u00e9@example.org"),
        # An ASCII domain that cannot be shown in its script stays as it is.
        (Email, "ada@xn--a.example.org", "ada@xn--a.example.org"),
        (LoginEmail, " Ada@XN--BCHER-KVA.example.org ", "Ada@xn--bcher-kva.example.org"),
        (Phone, " +491701234567", "+491701234567"),
        (CountryCode, "de", "DE"),
        (CurrencyCode, "eur ", "EUR"),
        (ShortText, "  Ada  ", "Ada"),
        (MAYBE[ShortText], " \t ", None),
        (MAYBE[Email], "", None),
        (Url, " https://example.org/a?b=c#d ", "https://example.org/a?b=c#d"),
        (Percent, 30, Decimal(30)),
        (Percent, 12.5, Decimal("12.50")),
        (Percent, 57 * 0.01, Decimal("0.57")),
        (Rate, "1.0842", Decimal("1.0842")),
        (Date, "2024-02-29", date(2024, 2, 29)),
        (UtcDatetime, "2026-05-04T11:30:00+02:00", datetime(2026, 5, 4, 9, 30, tzinfo=UTC)),
        (Count, 0, 0),
        (Flag, True, True),
    ],
)
def test_a_value_is_brought_into_its_one_form(type_: Any, given_: Any, kept: Any) -> None:
    assert read(type_, given_) == kept


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        *[
            (Email, text)
            for text in ("", "ada", "ada@", "@example.org", "ada@example", "a..b@example.org", ".a@example.org")
        ],
        *[(Email, text) for text in ("a b@example.org", "ada@-example.org", "ada@example.org\nx", "a@b@example.org")],
        *[
            (Email, text)
            for text in ("用户@例子", "用 户@例子.公司", "用户@例子..公司", "用户 <ada@例子.公司>", "é" * 65 + "@x.org")
        ],
        (Email, "x" * 65 + "@example.org"),
        (Email, "a@" + "x" * 60 + "." + "y" * 60 + "." + "z" * 60 + "." + "w" * 60 + "." + "v" * 20 + ".org"),
        *[(LoginEmail, text) for text in ("Élodie@example.org", "ada@bücher.example.org", "ada", "ｌili@example.org")],
        *[(Phone, text) for text in ("0170123", "+0170123456", "+49 170", "+1234567890123456", "++491701234567")],
        *[(CountryCode, text) for text in ("XX", "DEU", "", "D")],
        *[(CurrencyCode, text) for text in ("XXX", "EURO", "")],
        *[(ShortText, text) for text in ("", "   ", "x" * 201, "a\x00b", "a\ud800")],
        *[(LongText, text) for text in ("x" * 32_001, "\x00")],
        *[
            (Url, text)
            for text in ("ftp://x.org", "javascript:alert(1)", "https://", "https://a b", "http://u@evil.org/")
        ],
        *[(Url, "https://example.org/" + text) for text in ("x" * 2000, "a\x00", "\ud800")],
        *[(Percent, value) for value in (-1, 100.01, 12.345, "30", True, float("nan"), float("inf"), None)],
        *[(Rate, value) for value in ("0", "-1", "1e3", 1.5, True, "1.12345678901", "12345678901", "NaN", None)],
        *[(Date, value) for value in ("2026-02-30", "20260504", "2026-05-04T00:00:00", 0, True)],
        (Date, datetime(2026, 5, 4, tzinfo=UTC)),
        *[(UtcDatetime, value) for value in ("2026-05-04T09:30:00", "2026-05-04", 0, "0001-01-01T00:00:00+14:00")],
        *[(Count, value) for value in (-1, "5", 5.0, True, 2**31)],
        *[(Flag, value) for value in ("true", 1, None)],
        (NonNegativeMoney, {"amount": "-0.01", "currency": "EUR"}),
    ],
)
def test_what_does_not_fit_is_refused(type_: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        read(type_, value)


@pytest.mark.parametrize("context", [CONSUMING, STORED])
@pytest.mark.parametrize("address", ["ada@xn--bcher-kva.example.org", "ada@bücher.example.org", "ada@Example.org", "?"])
def test_an_address_that_another_release_took_is_read_as_it_is(context: str, address: str) -> None:
    assert TypeAdapter(Email).validate_python(address, context={context: True}) == address


@pytest.mark.parametrize("type_", [Percent, PricePercent, TaxPercent])
def test_decimals_of_another_release_are_read(type_: Any) -> None:
    assert TypeAdapter(type_).validate_python(8.8754, context={CONSUMING: True}) == Decimal("8.8754")
    with pytest.raises(ValidationError):
        TypeAdapter(type_).validate_python(8.8754, context={STORED: True})


@given(st.emails())
def test_what_the_standard_calls_an_address_is_taken_once_normal(address: str) -> None:
    assume("xn--" not in address.lower())
    kept = read(Email, address)
    assert read(Email, kept) == kept
    local, _, domain = address.rpartition("@")
    assert kept == f"{local}@{domain.lower()}"


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  # hypothesis adds the zone
def test_an_instant_is_kept_in_utc_and_written_with_z(moment: datetime) -> None:
    kept = read(UtcDatetime, moment)
    assert kept == moment.astimezone(UTC)
    text = dump(UtcDatetime, kept)
    assert text.endswith("Z")
    assert read(UtcDatetime, text) == kept


@given(st.integers(min_value=0, max_value=10_000))
def test_a_percentage_survives_the_way_through_json(hundredths: int) -> None:
    value = Decimal(hundredths) / 100
    assert read(Percent, dump(Percent, read(Percent, value))) == value


@given(st.decimals(min_value="0.0000000001", max_value="9999999999", places=10))
def test_a_rate_is_plain_text_without_loss(value: Decimal) -> None:
    text = dump(Rate, read(Rate, value))
    assert "E" not in text
    assert read(Rate, text) == value


def test_an_address_keeps_what_is_known() -> None:
    address = Address.model_validate({"line1": " 1 Rue X ", "city": "", "country": "fr"})
    assert address.model_dump() == {
        "line1": "1 Rue X",
        "line2": None,
        "city": None,
        "region": None,
        "postal_code": None,
        "country": "FR",
    }


def test_personal_fields_are_found_wherever_they_are() -> None:
    class Inner(BaseModel):
        name: Personal[str | None]
        code: str

    class Outer(BaseModel):
        email: Personal[Email]
        maybe: Maybe[Personal[ShortText]]
        parts: list[Inner]
        by_key: dict[str, Inner | None]

    assert personal_fields(Outer) == {"email", "maybe", "parts.name", "by_key.name"}
    assert personal_fields(OpportunityRecord) == {"customer.name"}
    assert "record.birth_date" in personal_fields(LeadQualified)
    assert {"first_name", "last_name", "full_name", "email", "phone", "address"} <= personal_fields(ContactRecord)


def test_a_personal_field_is_marked_in_its_schema() -> None:
    properties = ContactRecord.model_json_schema(mode="serialization")["properties"]
    assert {name for name, schema in properties.items() if schema.get("x-personal")} == personal_fields(ContactRecord)


def test_an_unknown_enum_value_is_kept_only_while_consuming() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Open[LeadSource])
    assert adapter.validate_python("web") is LeadSource.WEB
    assert adapter.validate_python("carrier_pigeon", context={CONSUMING: True}) == "carrier_pigeon"
    for context in (None, {}, {CONSUMING: False}):
        with pytest.raises(ValidationError, match="word_of_mouth"):
            adapter.validate_python("carrier_pigeon", context=context)
    with pytest.raises(ValidationError):
        adapter.validate_python(5, context={CONSUMING: True})


def test_a_reference_shows_its_name() -> None:
    ref = Ref.model_validate({"type": "contact", "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f", "name": "Ada"})
    assert ref.model_dump(mode="json") == {
        "type": "contact",
        "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
        "name": "Ada",
        "deleted": False,
    }


def test_a_reference_that_was_read_may_be_sent_back() -> None:
    read_ref = {"type": "contact", "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f", "name": "Ada", "deleted": False}
    assert RefInput.model_validate(read_ref).model_dump(mode="json") == {"type": "contact", "id": read_ref["id"]}
    with pytest.raises(ValidationError):
        RefInput.model_validate(read_ref | {"owner": "x"})


class Offer(BaseModel):
    price: NonNegativeMoney
    margin: Money


def test_what_is_sent_says_that_an_amount_is_not_negative_and_what_is_published_is_a_money() -> None:
    sent, published = Offer.model_json_schema(), Offer.model_json_schema(mode="serialization")
    assert sent["properties"]["price"] == {
        "$ref": "#/$defs/Money",
        "properties": {"amount": {"pattern": "^[0-9]"}},
    }
    assert sent["$defs"]["Money"]["properties"]["amount"]["pattern"].startswith("^-?")
    assert published["properties"] == {name: {"$ref": "#/$defs/Money"} for name in ("price", "margin")}
