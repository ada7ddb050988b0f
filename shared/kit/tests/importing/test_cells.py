"""A cell is read in the form that its file is said to have, and in no other."""

from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel

from crm_contracts.types import Address, Date, LongText, Maybe, NonNegativeMoney, Percent, Quantity, Url, UtcDatetime
from crm_kit.importing.cells import conversion
from crm_kit.importing.fields import Kind, field_kinds
from crm_kit.importing.formats import DateFormat, DecimalFormat, Formats, Unread
from crm_kit.phones import PhoneInput


class Row(BaseModel):
    """One field of each kind."""

    address: Address | None = None
    value: NonNegativeMoney | None = None
    share: Percent | None = None
    quantity: Quantity | None = None
    day: Date | None = None
    moment: UtcDatetime | Date | None = None
    website: Maybe[Url] = None
    phone: Maybe[PhoneInput] = None
    note: Maybe[LongText] = None
    open: bool = False


def test_kinds_are_those_of_the_schema() -> None:
    kinds = field_kinds(Row)
    assert {name: kind.name for name, kind in kinds.items()} == {
        "address": "object",
        "value": "money",
        "share": "number",
        "quantity": "decimal",
        "day": "date",
        "moment": "moment",
        "website": "url",
        "phone": "text",
        "note": "text",
        "open": "boolean",
    }
    assert (kinds["address"].parts["country"].name, kinds["value"].parts["amount"].name) == ("country", "decimal")
    assert kinds["value"].required == {"amount", "currency"}


@pytest.mark.parametrize(
    ("decimal", "text", "plain"),
    [
        ("1234.56", "1200.5", "1200.5"),
        ("1234.56", "-3", "-3"),
        ("1,234.56", "1,234,567.8", "1234567.8"),
        ("1,234.56", "1234.5", "1234.5"),
        ("1.234,56", "1.234,56", "1234.56"),
        ("1.234,56", "1.200", "1200"),
        ("1 234,56", "1\u00a0234\u202f567,8", "1234567.8"),
        ("1'234.56", "1’234.50", "1234.50"),
        ("1'234.56", "１２'３４５", "12345"),
    ],
)
def test_a_number_is_read_as_its_file_writes_numbers(decimal: DecimalFormat, text: str, plain: str) -> None:
    assert Formats(decimal).plain(text) == plain


@pytest.mark.parametrize(
    ("decimal", "text"),
    [
        ("1234.56", "1,200"),
        ("1234.56", "1200,5"),
        ("1234.56", "1e5"),
        ("1,234.56", "1,23"),
        ("1,234.56", "1.234,56"),
        ("1,234.56", "1,2345"),
        ("1.234,56", "1.23"),
        ("1.234,56", "12.50"),
        ("1 234,56", "1.234,56"),
        ("1'234.56", "1'23.4"),
        ("1.234,56", "9" * 200),
    ],
)
def test_a_number_in_another_form_is_refused(decimal: DecimalFormat, text: str) -> None:
    with pytest.raises(Unread, match=r"Write the number like") as caught:
        Formats(decimal).plain(text)
    assert caught.value.code == "decimal-format"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("YYYY-MM-DD", "2026-03-04"),
        ("DD.MM.YYYY", "4.3.2026"),
        ("DD/MM/YYYY", "04/03/2026"),
        ("MM/DD/YYYY", "03/04/2026"),
        ("YYYY/MM/DD", "2026/3/4"),
        ("YYYY年M月D日", "2026年3月4日"),
        ("YYYY年M月D日", "２０２６年３月４日"),
        ("MM/DD/YYYY", "2026-03-04"),
    ],
)
def test_a_day_is_read_as_its_file_writes_days(form: DateFormat, text: str) -> None:
    assert Formats(date=form).day(text) == "2026-03-04"


@pytest.mark.parametrize(
    ("form", "text", "code"),
    [
        ("YYYY-MM-DD", "04.03.2026", "date-format"),
        ("DD/MM/YYYY", "04.03.2026", "date-format"),
        ("DD/MM/YYYY", "04/03/26", "date-format"),
        ("MM/DD/YYYY", "13/01/2026", "date"),
        ("DD.MM.YYYY", "31.02.2026", "date"),
    ],
)
def test_a_day_in_another_form_or_that_does_not_exist_is_refused(form: DateFormat, text: str, code: str) -> None:
    with pytest.raises(Unread) as caught:
        Formats(date=form).day(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind("boolean"), " Ja ", True),
        (Kind("boolean"), "はい", True),
        (Kind("boolean"), "是", True),
        (Kind("boolean"), "いいえ", False),
        (Kind("boolean"), "maybe", "maybe"),
        (Kind("enum", ("in_progress", "won")), " In progress", "in_progress"),
        (Kind("enum", ("in_progress", "won")), "WON", "won"),
        (Kind("enum", ("in_progress", "won")), "lost ", "lost"),
        (Kind("url"), "www.acme.com", "https://www.acme.com"),
        (Kind("url"), "acme.co.jp/path?q=1", "https://acme.co.jp/path?q=1"),
        (Kind("url"), "http://acme.com", "http://acme.com"),
        (Kind("url"), "acme", "acme"),
        (Kind("country"), "Deutschland", "DE"),
        (Kind("country"), "ドイツ", "DE"),
        (Kind("country"), "德国", "DE"),
        (Kind("country"), "德國", "DE"),
        (Kind("country"), "germany", "DE"),
        (Kind("country"), "U.S.A.", "US"),
        (Kind("country"), "at", "AT"),
        (Kind("number"), "19 %", 19.0),
        (Kind("array", element=Kind("enum", ("a_b",))), "A-B; ", ["a_b"]),
        (Kind("moment"), "2026-03-04T09:30:00Z", "2026-03-04T09:30:00Z"),
    ],
)
def test_words_of_people_become_values(kind: Kind, text: str, value: object) -> None:
    assert conversion(kind, Formats())(text) == value


BERLIN = Formats(zone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-04T09:30:00", "2026-03-04T08:30:00Z"),
        ("2026-07-04 09:30", "2026-07-04T07:30:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-07-04T09:30:00+09:00", "2026-07-04T09:30:00+09:00"),
        ("2026-13-04T09:30:00", "2026-13-04T09:30:00"),
        ("2026-03-04", "2026-03-04"),
    ],
)
def test_a_time_without_a_zone_is_one_of_the_organisation(text: str, at: str) -> None:
    assert conversion(Kind("moment"), BERLIN)(text) == at


def test_a_time_that_clocks_skip_is_refused() -> None:
    with pytest.raises(Unread, match="Europe/Berlin skip this time"):
        conversion(Kind("moment"), BERLIN)("2026-03-29T02:30:00")


def test_a_country_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Unread, match="ISO 3166-1"):
        conversion(Kind("country"), Formats())("Atlantis")
