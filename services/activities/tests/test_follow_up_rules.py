"""Follow-up rules: filters without a database, and access, shapes and problems over HTTP."""

from datetime import date
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_activities.follow_up.domain import FOLLOWED, FollowedType, holds, require_filter
from crm_activities.seed import AFTER_COMPLAINT, AFTER_WIN
from crm_contracts.catalogue import event_for
from crm_contracts.filters import Op
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_contracts.service.choices import CasePriority, CaseType
from crm_kit.access.privileges import Depth
from crm_kit.access.reach import Reach
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.records.filtering import Asking, Filterable
from crm_kit.store.parameters import Parameters
from crm_kit.testing import Client, principal

RULES = "/api/v1/follow-up-rules"
RULE = {"event_type": CaseResolved.type, "subject": "Is all well? {name}", "days": 14}


def test_what_may_be_followed_is_published_and_has_the_fields_named() -> None:
    assert set(FOLLOWED) == set(get_args(FollowedType))
    for type_, fields in FOLLOWED.items():
        event = event_for(type_)
        assert event is not None
        assert event.entity.owned
        assert fields.keys() <= event.entity.record.model_fields.keys()


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
    tree = require_filter(CaseResolved.type, document)
    assert tree is not None
    everything = ("complaint", "problem", "request", None)
    assert {kind for kind in everything if holds(tree, {"type": kind, "priority": "low"})} == kinds


TERMS = st.one_of(
    st.builds(term, st.sampled_from(["eq", "ne"]), st.sampled_from(CaseType)),
    st.builds(term, st.sampled_from(["eq", "ne"]), st.sampled_from(CasePriority), st.just("priority")),
    st.builds(term, st.sampled_from(["in", "nin"]), st.lists(st.sampled_from(CaseType), min_size=1, max_size=3)),
    st.builds(term, st.just("is_null"), st.booleans()),
)


def around(part: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(part, min_size=1, max_size=3)
    return (
        part
        | part.map(lambda one: {"not": one})
        | st.builds(lambda word, parts: {word: parts}, st.sampled_from(["all", "any"]), several)
    )


FILTERS = around(around(around(TERMS)))
ASKING = Asking(date(2026, 5, 4), ZoneInfo("UTC"), lambda _: Reach(everything=True), UUID(int=1))
RECORDS = [{"type": kind, "priority": priority} for kind in (*CaseType, None) for priority in (*CasePriority, None)]


@given(document=FILTERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_rule_and_a_list_agree_on_every_filter(runtime: Runtime, document: dict[str, Any]) -> None:
    tree = require_filter(CaseResolved.type, document)
    assert tree is not None
    fields = FOLLOWED[CaseResolved.type]
    lists = Filterable({name: (name, field.type) for name, field in fields.items()}, fields, {})
    parameters = Parameters()
    records = parameters.add(orjson.dumps(RECORDS).decode(), "json")
    condition = lists.compile(tree, parameters, ASKING)
    sql = f"select type, priority from json_to_recordset({records}) t (type text, priority text) where {condition}"  # noqa: S608  # only placeholders
    async with runtime.db.autocommit() as conn:
        listed = {tuple(row) for row in await conn.exec_driver_sql(sql, tuple(parameters.values))}
    assert {(one["type"], one["priority"]) for one in RECORDS if holds(tree, one)} == listed


def test_every_operator_of_the_fields_is_understood() -> None:
    ops = {op for fields in FOLLOWED.values() for field in fields.values() for op in field.ops}
    assert ops == {Op.EQ, Op.NE, Op.IN, Op.NIN, Op.IS_NULL}


def test_a_rule_without_a_filter_is_for_every_event() -> None:
    assert require_filter(OpportunityWon.type, None) is None


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ({}, "/filter", "invalid-filter"),
        (term("eq", "complaint", "title"), "/filter/field", "unknown-field"),
        (term("contains", "c"), "/filter/op", "unknown-operator"),
        (term("eq", "grumble"), "/filter/value", "invalid-value"),
        ({"all": [term("eq", "complaint"), term("eq", 1)]}, "/filter/all/1/value", "invalid-value"),
    ],
)
def test_a_filter_that_breaks_the_grammar_is_told_where(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_filter(CaseResolved.type, document)
    [error] = refused.value.errors
    assert (error.pointer, error.code) == (pointer, code)


async def test_an_organisation_starts_with_two_rules(client: Client) -> None:
    answer = await client.get(f"{RULES}?count=exact")
    assert (answer.status, answer.json["count"]) == (200, 2)
    assert [(item["id"], item["event_type"], item["days"]) for item in answer.json["items"]] == [
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
    assert (await client.patch(path, {"days": 14})).etag == '"1"'
    changed = await client.patch(path, {"days": 0, "filter": None})
    assert (changed.etag, changed.json["days"], changed.json["filter"]) == ('"2"', 0, None)
    assert (await client.patch(path, {"days": 1}, etag='"1"')).status == 412
    [last, first] = (await client.get(f"{path}/history")).json["items"]
    assert (first["version"], last["changes"]["days"]) == (1, {"old": 14, "new": 0})
    assert (await client.delete(path)).status == 204
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({**RULE, "event_type": "crm.sales.lead.created.v1"}, "/event_type", None),
        ({**RULE, "days": 3651}, "/days", None),
        ({**RULE, "days": -1}, "/days", None),
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
    staff = client_for(principal(Depth.USER, follow_up_rule="04000"))
    assert (await staff.get(f"{RULES}/{AFTER_WIN}")).status == 200
    for answer in (
        await staff.post(RULES, RULE),
        await staff.patch(f"{RULES}/{AFTER_WIN}", {"active": False}),
        await staff.delete(f"{RULES}/{AFTER_WIN}"),
    ):
        assert (answer.status, answer.problem) == (403, "forbidden")
    assert (await client_for(principal(follow_up_rule=Depth.USER)).post(RULES, RULE)).status == 403
