"""Recurrence without a database: rules as texts, occurrences over changes of clocks, moves, and another program as oracle."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from crm_activities.recurrence.expansion import Recurrence
from crm_activities.recurrence.rule import moved_rule, read_rule
from crm_kit.errors import InvalidValue


def series(start: str, zone: str, rule: str, *, all_day: bool = False) -> Recurrence:
    """A recurrence from a local start."""
    at = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return Recurrence.of(read_rule(rule, zone), at, zone, all_day=all_day)


def days(found: Recurrence, number: int = 9) -> list[str]:
    """The local days of the first occurrences."""
    return [f"{at.astimezone(ZoneInfo(found.zone)):%Y-%m-%d}" for at in found.first(number)]


@pytest.mark.parametrize(
    ("start", "zone", "rule", "number"),
    [
        ("2018-03-05T16:15", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20180319T151500Z", 3),
        ("2018-03-05T16:15", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20180319T151459Z", 2),
        ("2018-03-05T16:15", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20180319", 3),
        ("2018-03-05T16:15", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20180319T161459", 2),
        ("2017-08-21T09:00", "America/New_York", "FREQ=MONTHLY;INTERVAL=12;BYDAY=3MO;UNTIL=20180819", 1),
    ],
)
def test_a_rule_ends_at_its_until_in_the_zone_of_the_series(start: str, zone: str, rule: str, number: int) -> None:
    assert len(series(start, zone, rule).first(9)) == number


@pytest.mark.parametrize(
    ("start", "rule", "expected", "skips"),
    [
        (
            "2026-01-31",
            "FREQ=MONTHLY;COUNT=5",
            ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"],
            True,
        ),
        (
            "2026-01-31",
            "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=5",
            ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"],
            False,
        ),
        ("2024-02-29", "FREQ=YEARLY;COUNT=3", ["2024-02-29", "2028-02-29", "2032-02-29"], True),
        (
            "2024-02-29",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1;COUNT=3",
            ["2024-02-29", "2025-02-28", "2026-02-28"],
            False,
        ),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            ["1997-08-05", "1997-08-10", "1997-08-19", "1997-08-24"],
            False,
        ),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            ["1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"],
            False,
        ),
        ("2026-01-29", "FREQ=MONTHLY;BYDAY=5TH;COUNT=2", ["2026-01-29", "2026-04-30"], True),
    ],
)
@pytest.mark.parametrize("all_day", [False, True])
def test_a_day_that_a_month_does_not_have_is_left_out(
    start: str, rule: str, expected: list[str], skips: bool, all_day: bool
) -> None:
    found = series(f"{start}T00:00" if all_day else f"{start}T09:00", "America/New_York", rule, all_day=all_day)
    assert days(found.settled()) == days(found) == expected
    assert found.skips() == found.settled().skips() == skips


def test_a_local_time_that_does_not_exist_is_left_out_and_not_counted() -> None:
    found = series("2026-03-28T02:30", "Europe/Berlin", "FREQ=DAILY;COUNT=3")
    expected = [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 31, 0, 30, tzinfo=UTC),
    ]
    assert found.first(9) == found.settled().first(9) == expected
    assert found.settled().rule.text("Europe/Berlin") == "FREQ=DAILY;UNTIL=20260331T003000Z"
    [gap] = found.gaps(expected[-1])
    assert gap.isoformat() == "2026-03-29T02:30:00"


def test_a_local_time_that_exists_twice_is_the_first_once() -> None:
    found = series("2026-10-24T02:30", "Europe/Berlin", "FREQ=DAILY;COUNT=3").first(9)
    assert found[1] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert len(found) == 3


def test_an_all_day_series_keeps_days_that_begin_at_one_o_clock() -> None:
    # In Cairo the clocks go forward at midnight.
    found = series("2026-04-23T00:00", "Africa/Cairo", "FREQ=DAILY;COUNT=3", all_day=True)
    assert days(found) == ["2026-04-23", "2026-04-24", "2026-04-25"]
    assert found.gaps(found.first(3)[-1]) == []


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=WEEKLY;BYDAY=MO", "2026-10-01T09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=30;BYMONTH=2", "2026-10-01T09:00"),
        ("FREQ=DAILY;BYMONTHDAY=30;BYMONTH=2", "2026-10-01T09:00"),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=4", "2026-04-30T09:00"),
        ("FREQ=WEEKLY;BYDAY=TH;UNTIL=20260930", "2026-10-01T09:00"),
        ("FREQ=DAILY;UNTIL=20260930T000000Z", "2026-10-01T09:00"),
    ],
)
def test_a_start_that_the_rule_does_not_produce_is_refused(rule: str, start: str) -> None:
    with pytest.raises(InvalidValue) as problem:
        series(start, "Europe/Berlin", rule).require_start()
    assert problem.value.errors[0].pointer == "/rule"


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "BYDAY=MO",
        "FREQ=SECONDLY",
        "FREQ=DAILY;UNTL=20261231",
        "FREQ=DAILY;COUNT=3;UNTIL=20261231",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY\nRRULE:FREQ=WEEKLY",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=1001",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;UNTIL=20261332",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=WEEKLY;BYMONTHDAY=2",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYYEARDAY=1",
        "FREQ=MONTHLY;BYWEEKNO=1",
        "FREQ=YEARLY;BYMONTH=-1",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=2",
        "FREQ=DAILY;RSCALE=GREGORIAN",
    ],
)
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(InvalidValue) as problem:
        read_rule(rule, "UTC")
    assert (problem.value.slug, problem.value.errors[0].pointer) == ("invalid-rule", "/rule")


def test_a_rule_is_read_whatever_its_form() -> None:
    text = "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE"
    assert read_rule(" rrule:byday=mo,we;interval=2;freq=weekly; ", "UTC").endless == text


@pytest.mark.parametrize(
    ("rule", "old", "new", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=TH", "2026-10-01", "2026-09-30", "FREQ=WEEKLY;BYDAY=WE"),
        ("FREQ=WEEKLY;BYDAY=MO,SU", "2026-10-05", "2026-10-06", "FREQ=WEEKLY;BYDAY=MO,TU"),
        ("FREQ=WEEKLY", "2026-10-01", "2026-09-30", "FREQ=WEEKLY"),
        ("FREQ=WEEKLY;BYDAY=TH", "2026-10-01", "2026-10-01", "FREQ=WEEKLY;BYDAY=TH"),
        ("FREQ=MONTHLY;BYMONTHDAY=15", "2026-10-15", "2026-10-20", "FREQ=MONTHLY;BYMONTHDAY=20"),
        ("FREQ=MONTHLY;BYDAY=3WE", "2026-08-19", "2026-08-25", "FREQ=MONTHLY;BYDAY=4TU"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-08-28", "2026-08-27", "FREQ=MONTHLY;BYDAY=-1TH"),
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=3",
            "2026-02-03",
            "2026-03-04",
            "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=4",
        ),
    ],
)
def test_a_rule_moves_with_its_day(rule: str, old: str, new: str, expected: str) -> None:
    moved = moved_rule(read_rule(rule, "UTC"), date.fromisoformat(old), date.fromisoformat(new))
    assert moved.endless == expected
    Recurrence.of(moved, datetime.fromisoformat(f"{new}T09:00+00:00"), "UTC").require_start()


def test_a_rule_that_cannot_be_moved_is_asked_for() -> None:
    with pytest.raises(InvalidValue, match="Send the rule"):
        moved_rule(read_rule("FREQ=MONTHLY;BYMONTHDAY=1,15", "UTC"), date(2026, 10, 1), date(2026, 10, 2))


def test_an_endless_rule_is_expanded_no_further_than_asked() -> None:
    found = series("2026-01-01T09:00", "Europe/Berlin", "FREQ=DAILY")
    end = datetime(2026, 1, 3, 8, tzinfo=UTC)
    assert [at.day for at in found.occurrences(end)] == [1, 2, 3]


ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "UTC"]
RULES = st.one_of(
    st.builds("FREQ=DAILY;INTERVAL={}".format, st.integers(1, 40)),
    st.builds(
        "FREQ=WEEKLY;INTERVAL={};BYDAY={};WKST={}".format,
        st.integers(1, 3),
        st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, unique=True).map(",".join),
        st.sampled_from(["MO", "SU"]),
    ),
    st.builds(
        "FREQ=MONTHLY;INTERVAL={};BYMONTHDAY={}".format,
        st.integers(1, 5),
        st.integers(-31, 31).filter(lambda day: day != 0),
    ),
    st.builds(
        "FREQ=MONTHLY;BYDAY={}{}".format, st.sampled_from([1, 2, 3, 4, 5, -1]), st.sampled_from(["MO", "WE", "SA"])
    ),
    st.builds("FREQ=YEARLY;BYMONTH={};BYMONTHDAY={}".format, st.integers(1, 12), st.integers(1, 28)),
)


@settings(max_examples=40, deadline=None)
@given(
    rule=RULES,
    zone=st.sampled_from(ZONES),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(  # noqa: DTZ001  # a local time
        lambda at: at.replace(minute=30, second=0, microsecond=0)
    ),
)
def test_another_program_finds_the_same_occurrences(rule: str, zone: str, start: datetime) -> None:
    # The first local time that the rule produces, because another start is undefined.
    began = series(start.isoformat(), zone, rule)
    first = next(iter(began.occurrences()), None)
    if first is None:
        return
    found = Recurrence.of(began.rule, first, zone)
    end = first + timedelta(days=400)
    gaps = "".join(f"EXDATE;TZID={zone}:{gap:%Y%m%dT%H%M%S}\r\n" for gap in found.gaps(end))
    event = f"UID:1\r\nDTSTART;TZID={zone}:{found.start:%Y%m%dT%H%M%S}\r\nRRULE:{found.rule.endless}\r\n{gaps}"
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\n{event}END:VEVENT\r\nEND:VCALENDAR\r\n"
    theirs = recurring_ical_events.of(Calendar.from_ical(text)).between(first, end + timedelta(seconds=1))
    ours = list(islice(found.occurrences(end), 1000))
    assert sorted(one.start.astimezone(UTC) for one in theirs) == ours
