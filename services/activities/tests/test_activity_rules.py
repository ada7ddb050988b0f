"""Activity rules: filters without a database, and access, shapes and problems over HTTP."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_activities.rule.domain import SUBJECT_LENGTH, closes_a_circle, due_at, filled, require_filter
from crm_activities.rule.happening import events_of_rules, fields_of_event
from crm_activities.seed import AFTER_COMPLAINT, AFTER_WIN
from crm_contracts.filters import Fields, FieldType, FilterField, Op, parse_filter
from crm_contracts.sales.lead import LeadCreated
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_kit.access.privileges import Depth
from crm_kit.access.reach import Reach
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.records.filtering import Asking, Filterable
from crm_kit.records.matching import matches
from crm_kit.store.parameters import Parameters
from crm_kit.testing import Client, principal

RULES = "/api/v1/activity-rules"
RULE = {"name": "Ask later", "event_type": CaseResolved.type, "subject": "Is all well? {name}", "due_after": 14}


FIELDS = fields_of_event(CaseResolved.type)
UTC_ZONE = ZoneInfo("UTC")


def test_rules_can_name_the_events_of_records_and_filter_by_their_fields() -> None:
    events = events_of_rules()
    assert {OpportunityWon.type, CaseResolved.type, LeadCreated.type} <= events.keys()
    assert not [type_ for type_ in events if ".snapshot." in type_ or "activity_rule" in type_]
    assert {"type", "customer.id", "created_at", "changed", "event.resolved_at"} <= FIELDS.keys()
    assert FIELDS["changed"].values is not None


@pytest.mark.parametrize("type_", events_of_rules())
def test_every_event_has_fields_for_rules(type_: str) -> None:
    assert {"id", "created_at", "changed"} <= fields_of_event(type_).keys()


def term(op: str, value: Any, field: str = "type") -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


@pytest.mark.parametrize(
    ("document", "kinds"),
    [
        (term("eq", "complaint"), {"complaint"}),
        (term("ne", "complaint"), {"problem", "request", None}),
        (term("in", ["complaint", "problem"]), {"complaint", "problem"}),
        (term("nin", ["complaint", "problem"]), {"request", None}),
        (term("is_null", True), {None}),
        (term("is_null", False), {"complaint", "problem", "request"}),
        ({"not": term("eq", "complaint")}, {"problem", "request", None}),
        ({"any": [term("eq", "complaint"), term("is_null", True)]}, {"complaint", None}),
        ({"all": [term("ne", "complaint"), term("is_null", False)]}, {"problem", "request"}),
        ({"all": [term("eq", "complaint"), term("eq", "high", "priority")]}, set()),
    ],
)
def test_a_filter_holds_as_a_list_would_show(document: dict[str, Any], kinds: set[str | None]) -> None:
    tree = require_filter(FIELDS, document)
    assert tree is not None
    everything = ("complaint", "problem", "request", None)
    found = {kind for kind in everything if matches(tree, FIELDS, {"type": kind, "priority": "low"}, UTC_ZONE)}
    assert found == kinds


WORDS = ("Müller", "MULLER & co", "straße 5", "健太", "")
TIMES = ("2026-05-03T22:30:00Z", "2026-05-04T00:00:00Z", "2026-05-04T21:59:59Z", "2026-05-04T22:00:00Z", None)
KINDS: Fields = {
    "type": FilterField(FieldType.KEYWORD, ("complaint", "problem")),
    "title": FilterField(FieldType.TEXT),
    "amount": FilterField(FieldType.DECIMAL),
    "day": FilterField(FieldType.DATE),
    "at": FilterField(FieldType.DATETIME),
    "flag": FilterField(FieldType.BOOLEAN),
    "phone": FilterField(FieldType.TEXT),
    "card_type": FilterField(FieldType.TEXT),
}
VALUES: dict[str, tuple[Any, ...]] = {
    "type": ("complaint", "problem"),
    "title": ("muller", "Müller", "strasse", "co", "健"),
    "amount": ("5", "5.50", "-1"),
    "day": ("2026-05-04", "2026-05-05"),
    "at": ("2026-05-04", "2026-05-05", "2026-05-04T00:00:00Z", "2026-05-04T22:00:00Z"),
    "flag": (True, False),
    "phone": ("12", "6641", "41234", "030 6641234", "+49306641234", "+49 30 6641234"),
    "card_type": ("gold", "Gold", "go"),
}
RECORDS = [
    {
        "type": kind,
        "title": word,
        "amount": amount,
        "day": day,
        "at": at,
        "flag": flag,
        "phone": phone,
        "card_type": card,
    }
    for (kind, word, at), (amount, day, flag, phone, card) in product(
        zip(("complaint", "problem", None, "problem", None), (*WORDS[:4], None), TIMES, strict=True),
        (
            ("5.00", "2026-05-04", True, "+49306641234", "gold"),
            ("5.50", None, None, "+4930664112", None),
            (None, "2026-05-06", False, None, "Gold"),
        ),
    )
]


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from(sorted(KINDS)))
    op = draw(st.sampled_from(KINDS[field].ops))
    value = st.sampled_from(VALUES[field])
    match op:
        case Op.IS_NULL:
            return term(op, draw(st.booleans()), field)
        case Op.IN | Op.NIN:
            return term(op, draw(st.lists(value, min_size=1, max_size=2)), field)
        case Op.BETWEEN:
            low, high = sorted([draw(value), draw(value)], key=lambda one: Decimal(one) if field == "amount" else one)
            return term(op, [low, high], field)
    return term(op, draw(value), field)


def around(part: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(part, min_size=1, max_size=3)
    return (
        part
        | part.map(lambda one: {"not": one})
        | st.builds(lambda word, parts: {word: parts}, st.sampled_from(["all", "any"]), several)
    )


FILTERS = around(around(around(terms())))
BERLIN = ZoneInfo("Europe/Berlin")
ASKING = Asking(date(2026, 5, 4), BERLIN, lambda _: Reach(everything=True), UUID(int=1))


@given(document=FILTERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_rule_and_a_list_agree_on_every_filter(runtime: Runtime, document: dict[str, Any]) -> None:
    tree = parse_filter(document, KINDS)
    lists = Filterable({name: (name, field.type) for name, field in KINDS.items()}, KINDS, {})
    parameters = Parameters()
    records = parameters.add(orjson.dumps(list(enumerate(RECORDS))).decode(), "json")
    condition = lists.compile(tree, parameters, ASKING)
    sql = (
        f"select (j -> 0)::text::int from json_array_elements({records}) j, json_to_record(j -> 1)"  # noqa: S608  # only placeholders
        f" t (type text, title text, amount numeric, day date, at timestamptz, flag boolean, phone text,"
        f" card_type text) where {condition}"
    )
    async with runtime.db.autocommit() as conn:
        listed = set((await conn.exec_driver_sql(sql, tuple(parameters.values))).scalars())
    assert {number for number, one in enumerate(RECORDS) if matches(tree, KINDS, one, BERLIN)} == listed


@pytest.mark.parametrize(
    ("happened", "after", "unit", "due"),
    [
        ("2026-05-04T09:30", 7, "days", "2026-05-11T09:30"),
        ("2026-05-04T09:30", 1, "business_days", "2026-05-05T09:30"),  # Monday
        ("2026-05-08T09:30", 1, "business_days", "2026-05-11T09:30"),  # Friday
        ("2026-05-08T09:30", 5, "business_days", "2026-05-15T09:30"),
        ("2026-05-07T09:30", 4, "business_days", "2026-05-13T09:30"),
        ("2026-05-09T09:30", 1, "business_days", "2026-05-11T09:30"),  # Saturday
        ("2026-05-10T09:30", 0, "business_days", "2026-05-11T09:30"),
        ("2026-05-08T09:30", 0, "business_days", "2026-05-08T09:30"),
        ("2026-03-27T09:30", 1, "business_days", "2026-03-30T09:30"),  # over the change to summer time
    ],
)
def test_an_activity_is_due_at_the_same_time_of_day(happened: str, after: int, unit: str, due: str) -> None:
    at = datetime.fromisoformat(happened).replace(tzinfo=BERLIN).astimezone(UTC)
    assert due_at(at, after, unit, BERLIN).astimezone(BERLIN) == datetime.fromisoformat(due).replace(tzinfo=BERLIN)


@given(start=st.dates(date(2026, 1, 1), date(2026, 12, 31)), after=st.integers(1, 60))
def test_business_days_are_counted_one_by_one(start: date, after: int) -> None:
    day, left = start, after
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    assert due_at(datetime.combine(start, time(12), UTC), after, "business_days", UTC_ZONE).date() == day


@given(template=st.text(min_size=1, max_size=200), name=st.none() | st.text(max_size=400))
def test_a_subject_always_fits(template: str, name: str | None) -> None:
    assert len(filled(template, name, {}, SUBJECT_LENGTH, FIELDS)) <= SUBJECT_LENGTH


def test_a_value_is_data_and_never_a_format() -> None:
    record = {"number": "{name}", "customer": {"type": "account"}, "flag": True}
    known = {"number", "customer.type", "flag", "missing"}
    text = filled(
        "{name}: {number} {customer.type} {unknown} {missing}{flag} {0} {} %s", "{x.__class__}", record, 200, known
    )
    assert text == "{x.__class__}: {name} account {unknown} yes {0} {} %s"


CREATED = "crm.activities.{}.created.v1"


@pytest.mark.parametrize(
    ("rule", "others", "circular"),
    [
        ((LeadCreated.type, "task"), [], False),
        ((CREATED.format("task"), "task"), [], True),
        ((CREATED.format("task"), "phone_call"), [], False),
        ((CREATED.format("task"), "phone_call"), [(CREATED.format("phone_call"), "task")], True),
        ((CREATED.format("task"), "phone_call"), [("crm.activities.phone_call.reminder_due.v1", "task")], True),
        (("crm.activities.task.completed.v1", "task"), [], False),
        ((LeadCreated.type, "task"), [(CREATED.format("phone_call"), "phone_call")], False),
    ],
)
def test_rules_do_not_set_each_other_off_without_end(
    rule: tuple[str, str], others: list[tuple[str, str]], circular: bool
) -> None:
    assert closes_a_circle(*rule, others) is circular


def test_a_rule_without_a_filter_is_for_every_event() -> None:
    assert require_filter(fields_of_event(OpportunityWon.type), None) is None


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ({}, "/filter", "invalid-filter"),
        (term("eq", "complaint", "tone"), "/filter/field", "unknown-field"),
        (term("contains", "tone", "changed"), "/filter/value", "invalid-value"),
        (term("contains", "c"), "/filter/op", "unknown-operator"),
        (term("eq", "grumble"), "/filter/value", "invalid-value"),
        ({"all": [term("eq", "complaint"), term("eq", 1)]}, "/filter/all/1/value", "invalid-value"),
    ],
)
def test_a_filter_that_breaks_the_grammar_is_told_where(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_filter(FIELDS, document)
    [error] = refused.value.errors
    assert (error.pointer, error.code) == (pointer, code)


async def test_an_organisation_starts_with_two_rules(client: Client) -> None:
    answer = await client.get(f"{RULES}?count=exact")
    assert (answer.status, answer.json["count"]) == (200, 2)
    assert [(item["id"], item["event_type"], item["due_after"]) for item in answer.json["items"]] == [
        (str(AFTER_WIN), OpportunityWon.type, 7),
        (str(AFTER_COMPLAINT), CaseResolved.type, 3),
    ]
    called_back = (await client.get(f"{RULES}/{AFTER_COMPLAINT}")).json
    assert called_back["filter"] == term("eq", "complaint")
    assert "allowed_actions" not in called_back


async def test_a_rule_is_made_changed_and_deleted(client: Client) -> None:
    made = await client.post(RULES, {**RULE, "filter": term("in", ["problem", "request"])})
    assert (made.status, made.etag) == (201, '"1"')
    assert (made.json["active"], made.json["priority"], made.json["category"]) == (True, "normal", None)
    path = made.headers["location"]
    assert (await client.get(path)).json == made.json
    assert (await client.patch(path, {"due_after": 14})).etag == '"1"'
    changed = await client.patch(path, {"due_after": 0, "filter": None})
    assert (changed.etag, changed.json["due_after"], changed.json["filter"]) == ('"2"', 0, None)
    assert (await client.patch(path, {"due_after": 1}, etag='"1"')).status == 412
    [last, first] = (await client.get(f"{path}/history")).json["items"]
    assert (first["version"], last["changes"]["due_after"]) == (1, {"old": 14, "new": 0})
    assert (await client.delete(path)).status == 204
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({**RULE, "event_type": "crm.sales.lead.snapshot.v1"}, "/event_type", "unknown-event"),
        ({**RULE, "event_type": CREATED.format("task")}, "/event_type", "circular-rules"),
        ({**RULE, "subject": "{tone}"}, "/subject", "unknown-placeholder"),
        ({**RULE, "description": "{event.tone}"}, "/description", "unknown-placeholder"),
        ({**RULE, "activity_type": "phone_call", "category": "Call"}, "/category", "tasks-only"),
        ({**RULE, "assigned_to": {"type": "user", "id": str(UUID(int=9))}}, "/assigned_to/id", "unknown-reference"),
        ({**RULE, "event_type": "crm.sales.product.created.v1"}, "/assigned_to", "owner-required"),
        ({**RULE, "due_after": 3651}, "/due_after", None),
        ({**RULE, "due_after": -1}, "/due_after", None),
        ({**RULE, "subject": " "}, "/subject", None),
        ({**RULE, "filter": []}, "/filter", None),
        ({**RULE, "filter": {"field": "rating", "op": "eq", "value": "hot"}}, "/filter/field", "unknown-field"),
        ({**RULE, "version": 7}, "/version", "read-only-field"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, body: Any, pointer: str, code: str | None
) -> None:
    answer = await client.post(RULES, body)
    assert answer.status == 422, answer.body
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


async def test_another_event_needs_a_filter_that_fits_it(client: Client) -> None:
    path = f"{RULES}/{AFTER_COMPLAINT}"
    refused = await client.patch(path, {"event_type": OpportunityWon.type})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/filter/field")
    assert (await client.patch(path, {"event_type": OpportunityWon.type, "filter": None})).status == 200


async def test_rules_belong_to_the_organisation(client_for: Any) -> None:
    staff = client_for(principal(Depth.USER, activity_rule="04000"))
    assert (await staff.get(f"{RULES}/{AFTER_WIN}")).status == 200
    for answer in (
        await staff.post(RULES, RULE),
        await staff.patch(f"{RULES}/{AFTER_WIN}", {"active": False}),
        await staff.delete(f"{RULES}/{AFTER_WIN}"),
    ):
        assert (answer.status, answer.problem) == (403, "forbidden")
    assert (await client_for(principal(activity_rule=Depth.USER)).post(RULES, RULE)).status == 403
