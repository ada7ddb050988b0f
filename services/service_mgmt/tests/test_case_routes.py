"""Cases over HTTP: shapes, statuses, problems, conditions, access, lists, statement counts."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from crm_contracts.catalogue import events_of
from crm_contracts.schemas import event_schema
from crm_contracts.service.case import CaseSnapshot
from crm_contracts.service.handover import HANDOVERS
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.store.record import new_id
from crm_kit.testing import People, counted, principal
from crm_kit.testing.removals import Removal
from crm_service_mgmt.case.domain import LIFECYCLE
from crm_service_mgmt.tables import ENTITIES

from .conftest import Hear
from .desk import CASES, Customer, Desk, product

ME = UUID("01900000-0000-7000-8000-0000000000aa")


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def test_a_new_case_can_be_read_where_it_says(desk: Desk, ada: Customer, people: People) -> None:
    await people.user("Grace Hopper", id=ME)
    answer = await desk.try_open(title=" The bill is wrong ", contact_id=str(ada.id), type="complaint", origin="phone")
    assert (answer.status, answer.etag) == (201, '"1"')
    case = answer.json
    assert answer.headers["crm-version"] == f"case/{case['id']}@1"
    assert (case["title"], case["number"][:4], case["priority"]) == ("The bill is wrong", "CAS-", "normal")
    assert (case["status"], case["status_reason"], case["owner_name"]) == ("active", "in_progress", "Grace Hopper")
    assert case["customer"] == {"type": "contact", "id": str(ada.id), "name": "Ada Lovelace", "deleted": False}
    assert case["contact_id"] == str(ada.id)
    assert (case["resolutions"], case["resolved_at"], case["first_responded_at"]) == ([], None, None)
    assert case["allowed_actions"] == ["hold", "wait", "research", "escalate", "resolve", "cancel", "assign"]
    read = await desk.client.get(answer.headers["location"])
    assert (read.status, read.json) == (200, case)


async def test_the_event_of_a_case_carries_the_record_as_the_api_shows_it(desk: Desk) -> None:
    case = await desk.open()
    [event] = await desk.events()
    case.pop("allowed_actions")
    assert event["data"]["record"] == case
    assert (event["subject"], event["entityversion"]) == (case["id"], 1)


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"title": " "}, "/title", None),
        ({"customer": None}, "/customer", None),
        ({"customer": {"type": "lead", "id": str(ME)}}, "/customer/type", None),
        ({"customer": {"type": "account"}}, "/customer/id", "missing"),
        ({"customer": {"type": "account", "id": str(ME)}}, "/customer/id", "unknown-reference"),
        ({"contact_id": str(ME)}, "/contact_id", "unknown-reference"),
        ({"priority": "urgent"}, "/priority", "enum"),
        ({"severity": "huge"}, "/severity", "enum"),
        ({"status": "resolved"}, "/status", "read-only-field"),
        ({"number": "CAS-1"}, "/number", "read-only-field"),
        ({"resolutions": []}, "/resolutions", "read-only-field"),
        ({"escalated_at": "2026-12-01T09:00:00Z"}, "/escalated_at", "read-only-field"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(desk: Desk, fields: Any, pointer: str, code: str | None) -> None:
    answer = await desk.try_open(**fields)
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


@pytest.mark.parametrize(("field", "value"), [("title", None), ("customer", None), ("priority", None)])
async def test_what_a_case_always_has_cannot_be_taken_away(desk: Desk, field: str, value: Any) -> None:
    answer = await desk.try_patch(await desk.open(), **{field: value})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, f"/{field}")


async def test_a_patch_changes_what_it_names(desk: Desk, hear: Hear) -> None:
    engines = Customer("account", "Engines Ltd")
    await hear(engines.created(), product(ME))
    case = await desk.open(severity="minor", description="The sum is wrong")
    changed = await desk.patch(case, customer=engines.ref, severity=None, priority="high", product_id=str(ME))
    assert (changed["customer"]["name"], changed["severity"], changed["priority"]) == ("Engines Ltd", None, "high")
    assert (changed["description"], changed["product_id"], changed["version"]) == ("The sum is wrong", str(ME), 2)
    difference = (await desk.events())[-1]["data"]["changed"]
    assert set(difference) == {"customer", "severity", "priority", "product_id"}
    assert difference["customer"]["old"]["name"] == "Ada Lovelace"


async def test_a_reference_that_stays_is_not_checked_again(desk: Desk, ada: Customer, hear: Hear) -> None:
    case = await desk.open(contact_id=str(ada.id))
    ada.status = "inactive"
    await hear(ada.tell("Deactivated"))
    kept = await desk.patch(case, customer=case["customer"], contact_id=case["contact_id"], priority="high")
    assert kept["version"] == 2
    cleared = await desk.patch(case, contact_id=None)
    assert cleared["contact_id"] is None
    again = await desk.try_patch(case, contact_id=str(ada.id))
    assert (again.problem, again.json["errors"][0]["pointer"]) == ("inactive-reference", "/contact_id")


async def test_a_stale_edit_is_refused_and_a_missing_condition_too(desk: Desk) -> None:
    path = f"{CASES}/{(await desk.open())['id']}"
    assert (await desk.client.patch(path, {"priority": "high"}, etag='"1"')).etag == '"2"'
    assert (await desk.client.patch(path, {"priority": "low"}, etag='"1"')).status == 412
    assert (await desk.client.patch(path, {"priority": "low"}, etag=None)).status == 428
    assert (await desk.client.delete(path, etag='"2"')).status == 204
    assert (await desk.client.get(path)).status == 404


async def test_a_key_makes_one_case(desk: Desk, ada: Customer) -> None:
    body, headers = {"title": "Once", "customer": ada.ref}, {"idempotency-key": "once"}
    first = await desk.client.post(CASES, body, headers=headers)
    again = await desk.client.post(CASES, body, headers=headers)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(await desk.page()) == 1


async def test_a_resolved_case_shows_how_and_cannot_be_deleted(desk: Desk) -> None:
    case = await desk.act(await desk.open(), "resolve", resolution="Refunded", minutes=25, billable_minutes=25)
    [kept] = case["resolutions"]
    assert (kept["kind"], kept["minutes"], kept["by"]) == ("problem_solved", 25, str(ME))
    assert kept["resolved_at"] == case["resolved_at"] == case["first_responded_at"]
    refused = await desk.delete(case)
    assert (refused.status, refused.problem) == (409, "not-deletable")
    again = await desk.act(case, "reactivate")
    assert (again["resolved_at"], again["resolutions"][0]["reversed_at"]) == (None, again["modified_at"])
    assert (await desk.delete(again)).status == 204


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"minutes": 5, "billable_minutes": 6}, "/billable_minutes", "more-than-spent"),
        ({"billable_minutes": 1}, "/billable_minutes", "more-than-spent"),
        ({"minutes": -1}, "/minutes", None),
        ({"minutes": "5"}, "/minutes", None),
        ({"kind": "merged"}, "/kind", "enum"),
    ],
)
async def test_a_resolution_that_breaks_a_rule_is_refused(
    desk: Desk, body: Any, pointer: str, code: str | None
) -> None:
    answer = await desk.try_act(await desk.open(), "resolve", **body)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert code is None or answer.json["errors"][0]["code"] == code


PATHS: list[list[str]] = [
    [],
    ["hold"],
    ["wait"],
    ["research"],
    ["hold", "resume"],
    ["escalate"],
    ["escalate", "resolve", "reactivate"],
    ["resolve"],
    ["cancel"],
    ["resolve", "reactivate"],
]


@pytest.mark.parametrize("path", PATHS, ids="-".join)
async def test_allowed_actions_tell_the_truth(desk: Desk, path: list[str]) -> None:
    for command in LIFECYCLE.moves:
        case = await desk.open()
        for step in path:
            case = await desk.act(case, step)
        answer = await desk.try_act(case, command)
        if command in case["allowed_actions"]:
            assert (answer.status, answer.json["version"]) == (200, case["version"] + 1)
        else:
            assert (answer.status, answer.problem) == (409, "illegal-transition")
            assert [*answer.json["allowed"], "assign"] == case["allowed_actions"]


async def test_assigning_moves_owner_and_unit(desk: Desk, people: People) -> None:
    unit = await people.unit("North")
    grace, gone = await people.user("Grace", unit=unit), await people.user("Gone", active=False)
    case = await desk.open()
    moved = await desk.act(case, "assign", owner_type="user", owner_id=str(grace))
    assert (moved["owner_name"], moved["business_unit_id"]) == ("Grace", str(unit))
    refused = await desk.try_act(case, "assign", owner_type="user", owner_id=str(gone))
    assert refused.problem == "inactive-reference"
    refused = await desk.try_act(case, "assign", owner_type="user", owner_id=str(new_id()))
    assert refused.problem == "unknown-reference"


async def test_rows_of_others_do_not_exist_for_a_reader_of_his_own(
    desk: Desk, desk_for: Callable[[Principal | None], Desk]
) -> None:
    case = await desk.open()
    stranger = desk_for(principal(Depth.USER))
    for answer in (
        await stranger.client.get(f"{CASES}/{case['id']}"),
        await stranger.try_patch(case, title="x"),
        await stranger.delete(case),
        await stranger.try_act(case, "resolve"),
        await stranger.client.get(f"{CASES}/{case['id']}/history"),
    ):
        assert answer.status == 404
    assert await stranger.page() == []
    reader = desk_for(principal(case="04000"))
    assert (await reader.get(case))["allowed_actions"] == []
    assert (await reader.try_act(case, "resolve")).status == 403
    assert (await reader.try_open()).status == 403
    assert (await desk_for(principal(case=Depth.NONE)).client.get(CASES)).status == 403
    assert (await desk_for(None).client.get(CASES)).status == 401


async def test_cases_are_filtered_searched_and_sorted(desk: Desk, hear: Hear) -> None:
    engines = Customer("account", "Engines Ltd")
    await hear(engines.created())
    card = await desk.open(title="Card is lost", priority="high")
    bill = await desk.open(title="Bill is wrong", type="complaint")
    loan = await desk.open(title="Loan for engines", priority="low", customer=engines.ref)
    await desk.act(card, "escalate")
    await desk.act(bill, "resolve")

    async def found(query: str) -> list[str]:
        return [case["id"] for case in await desk.page(query)]

    assert await found("sort=-priority") == [card["id"], bill["id"], loan["id"]]
    assert await found("sort=title") == [bill["id"], card["id"], loan["id"]]
    assert (await found("sort=-resolved_at"))[0] == bill["id"]
    assert await found(f"customer.id={engines.id}") == [loan["id"]]
    assert await found("customer.type=contact&type=complaint") == [bill["id"]]
    assert await found("escalated_at[is_null]=false") == [card["id"]]
    assert await found("status_reason[in]=problem_solved,information_provided") == [bill["id"]]
    assert await found("q=LOST") == [card["id"]]
    assert await found(f"q={loan['number'].lower()}") == [loan["id"]]
    assert (await desk.client.get(f"{CASES}?nonsense=1")).problem == "invalid-filter"
    query = {"filter": {"not": {"field": "status", "op": "eq", "value": "active"}}}
    assert [case["id"] for case in (await desk.client.post(f"{CASES}/query", query)).json["items"]] == [bill["id"]]


async def test_history_tells_who_did_what(desk: Desk) -> None:
    case = await desk.act(await desk.open(), "hold")
    items = (await desk.client.get(f"{CASES}/{case['id']}/history")).json["items"]
    assert [(item["fact"], item["version"], item["actor"]) for item in items] == [
        ("held", 2, f"user:{ME}"),
        ("created", 1, f"user:{ME}"),
    ]
    assert items[0]["changes"]["status_reason"] == {"old": "in_progress", "new": "on_hold"}


async def test_statements(desk: Desk, runtime: Runtime, people: People) -> None:
    await people.user("Grace Hopper", id=ME)
    case = await desk.open()
    moves = iter(["hold", "wait"])
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": desk.open,
        "read": lambda: desk.get(case),
        "move": lambda: desk.act(case, next(moves)),
        "list": lambda: desk.page("limit=50&sort=-created_at"),
    }
    found = {}
    for name, send in requests.items():
        await send()  # New connections look up types once.
        with counted(runtime.db) as found[name]:
            await send()
    # The customer adds one: its check on create, its name elsewhere. BEGIN and COMMIT count.
    assert {name: len(sent) for name, sent in found.items()} == {"create": 2, "read": 2, "move": 5, "list": 2}, found


async def test_every_fact_happens_fits_its_public_schema_and_leaves_no_gap(
    desk: Desk, people: People, hear: Hear
) -> None:
    grace = await people.user("Grace Hopper")
    case = await desk.open(description="x" * 2000)
    await desk.patch(case, priority="high")
    for command in ("hold", "wait", "research", "resume", "escalate", "resolve", "reactivate", "cancel", "reactivate"):
        await desk.act(case, command)
    await desk.act(case, "assign", owner_type="user", owner_id=str(grace))
    assert (await desk.delete(case)).status == 204
    removal = Removal(grace)
    await hear(removal.asked(), removal.refused())
    events = await desk.events()
    schemas = {event.type: Draft202012Validator(event_schema(event)) for event in events_of("service")}
    versions: dict[str, list[int]] = defaultdict(list)
    for event in events:
        assert [error.message for error in schemas[event["type"]].iter_errors(event["data"])] == [], event["type"]
        assert event["data"]["record"]["version"] == event["entityversion"]
        versions[event["subject"]].append(event["entityversion"])
    assert schemas.keys() - {event["type"] for event in events} == {CaseSnapshot.type, HANDOVERS.snapshot.type}
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())
    assert versions[case["id"]][-1] == len(events) - 2


async def test_a_snapshot_shows_a_case_as_its_last_event_did(desk: Desk, runtime: Runtime) -> None:
    case = await desk.act(await desk.act(await desk.open(), "resolve", resolution="Refunded"), "reactivate")
    last = (await desk.events())[-1]["data"]["record"]
    async with runtime.db.autocommit() as conn:
        [row] = await snapshot_sources(runtime, ENTITIES)["case"](conn, None, 500)
    shown = CaseSnapshot.model_validate({"record": row.record, "changed": {}}).record
    assert (str(row.id), row.version) == (case["id"], case["version"])
    assert shown == CaseSnapshot.model_validate({"record": last, "changed": {}}).record
