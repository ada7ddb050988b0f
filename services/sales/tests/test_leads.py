"""Leads: commands of clients, and their events."""

from collections.abc import Callable

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import People, emitted, principal
from crm_kit.work.uow import UnitOfWork
from crm_sales.lead.commands import contact_lead, create_lead
from crm_sales.lead.schemas import LeadCreate

from .journey import ADA, API, Sales, euros


async def test_a_command_announces_one_event_for_each_change(uow: UnitOfWork) -> None:
    lead = await create_lead(uow, LeadCreate.model_validate(ADA))
    assert emitted(uow) == ["crm.sales.lead.created.v1"]
    await uow.flush()
    await contact_lead(uow, lead.id)
    assert emitted(uow) == ["crm.sales.lead.contacted.v1"]
    await uow.flush()
    assert (lead.version, lead.state) == (2, "open/contacted")


async def test_a_new_lead_is_the_callers_and_says_what_can_be_done(sales: Sales, caller: Principal) -> None:
    lead = await sales.make("leads", **ADA)
    assert lead["owner_id"] == str(caller.id)
    assert lead["number"].startswith("LEA-")
    assert (lead["status"], lead["status_reason"], lead["version"]) == ("open", "new", 1)
    assert lead["allowed_actions"] == ["contact", "qualify", "disqualify", "assign", "merge"]
    assert lead["estimated_value_base"] == euros("1200.00")
    assert await sales.get("leads", lead["id"]) == lead


async def test_the_event_of_a_lead_carries_the_record_as_the_api_shows_it(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    [event] = await sales.events()
    lead.pop("allowed_actions")
    assert event["data"]["record"] == lead
    assert (event["subject"], event["entityversion"]) == (lead["id"], 1)


@pytest.mark.parametrize("field", ["id", "version", "status", "status_reason", "owner_id", "number", "qualified_at"])
async def test_what_the_system_sets_cannot_be_sent(sales: Sales, field: str) -> None:
    answer = await sales.try_make("leads", **ADA, **{field: "x"})
    assert (answer.status, answer.problem) == (422, "read-only-field")
    assert answer.json["errors"][0]["pointer"] == f"/{field}"


async def test_a_lead_needs_a_person_or_a_company(sales: Sales) -> None:
    answer = await sales.try_make("leads", topic="Gold card")
    assert (answer.status, answer.problem) == (422, "name-required")
    lead = await sales.make("leads", topic="Gold card", last_name="Lovelace")
    answer = await sales.try_patch("leads", lead, last_name=None)
    assert (answer.status, answer.problem) == (422, "name-required")


async def test_national_numbers_are_kept_as_e164_of_the_organisations_country(sales: Sales, people: People) -> None:
    await people.organization(country="DE")
    lead = await sales.make("leads", **ADA, phone="0170 1234567")
    assert lead["phone"] == "+491701234567"
    answer = await sales.try_patch("leads", lead, mobile_phone="12")
    assert answer.status == 422


async def test_nobody_is_born_tomorrow(sales: Sales) -> None:
    answer = await sales.try_make("leads", **ADA, birth_date="2999-01-01")
    assert (answer.status, answer.problem) == (422, "in-the-future")


async def test_a_patch_that_changes_nothing_keeps_the_version_and_tells_nobody(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    assert (await sales.patch("leads", lead, topic=" Gold card "))["version"] == 1
    assert await sales.facts() == ["lead.created"]


async def test_a_patch_tells_old_and_new(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    assert (await sales.patch("leads", lead, rating="hot"))["version"] == 2
    assert (await sales.events())[-1]["data"]["changed"] == {"rating": {"old": None, "new": "hot"}}


async def test_a_stale_edit_is_refused(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    await sales.patch("leads", lead, rating="hot")
    path = f"{API}/leads/{lead['id']}"
    answer = await sales.client.patch(path, {"rating": "cold"}, etag='"1"')
    assert (answer.status, answer.problem) == (412, "stale")
    answer = await sales.client.patch(path, {"rating": "cold"}, etag=None)
    assert (answer.status, answer.problem) == (428, "if-match-required")
    assert (await sales.client.patch(path, {"rating": "cold"}, etag='"2"')).status == 200


async def test_only_open_leads_are_edited(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    await sales.act("leads", lead, "disqualify", reason="cannot_contact")
    answer = await sales.try_patch("leads", lead, rating="hot")
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["reopen"])


async def test_a_lead_is_contacted_once(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    assert (await sales.act("leads", lead, "contact"))["status_reason"] == "contacted"
    answer = await sales.try_act("leads", lead, "contact")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert (answer.json["record_status"], answer.json["status_reason"]) == ("open", "contacted")
    assert answer.json["allowed"] == ["qualify", "disqualify"]


@pytest.mark.parametrize("reason", ["lost", "cannot_contact", "no_longer_interested", "canceled"])
async def test_a_lead_is_disqualified_for_a_reason_and_reopened(sales: Sales, reason: str) -> None:
    lead = await sales.make("leads", **ADA)
    lost = await sales.act("leads", lead, "disqualify", reason=reason)
    assert (lost["status"], lost["status_reason"]) == ("disqualified", reason)
    assert lost["disqualified_at"] is not None
    assert (await sales.events())[-1]["data"]["reason"] == reason
    assert (await sales.act("leads", lead, "reopen"))["status_reason"] == "contacted"
    assert await sales.facts() == ["lead.created", "lead.disqualified", "lead.reopened"]


async def test_a_lead_is_lost_unless_said(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    assert (await sales.act("leads", lead, "disqualify"))["status_reason"] == "lost"


async def test_a_deleted_lead_is_gone_but_its_history_stays(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    assert (await sales.delete("leads", lead)).status == 204
    assert (await sales.client.get(f"{API}/leads/{lead['id']}")).status == 404
    deleted = (await sales.events())[-1]
    assert (deleted["type"], deleted["entityversion"]) == ("crm.sales.lead.deleted.v1", 2)
    assert (deleted["data"]["record"]["version"], deleted["data"]["changed"]) == (2, {})
    history = await sales.page(f"leads/{lead['id']}/history")
    assert [item["fact"] for item in history] == ["deleted", "created"]


async def test_a_lead_that_a_deal_refers_to_stays(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    deal = await sales.make("opportunities", name="Cards", originating_lead_id=lead["id"])
    answer = await sales.delete("leads", lead)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "opportunity", "id": deal["id"], "name": "Cards"}]


async def test_a_lead_is_assigned_to_somebody_active(sales: Sales, people: People) -> None:
    lead = await sales.make("leads", **ADA)
    unit = await people.unit("Branch")
    grace, gone = await people.user("Grace Hopper", unit=unit), await people.user("Gone", active=False)
    answer = await sales.try_act("leads", lead, "assign", owner_type="user", owner_id=str(gone))
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    answer = await sales.try_act("leads", lead, "assign", owner_type="team", owner_id=str(grace))
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    given = await sales.act("leads", lead, "assign", owner_type="user", owner_id=str(grace))
    assert (given["owner_name"], given["business_unit_id"]) == ("Grace Hopper", str(unit))
    event = (await sales.events())[-1]
    assert event["data"]["new_owner"]["owner_id"] == str(grace)
    assert event["ownerid"] == str(grace)


async def test_leads_are_found_by_age_text_and_value(sales: Sales) -> None:
    ada = await sales.make("leads", **ADA, birth_date="1990-12-10")
    await sales.make("leads", topic="Car", last_name="Babbage", birth_date="1950-12-26")
    assert [lead["id"] for lead in await sales.page("leads", "age[between]=20,60")] == [ada["id"]]
    assert [lead["id"] for lead in await sales.page("leads", "q=engines love")] == [ada["id"]]
    assert [lead["id"] for lead in await sales.page("leads", "estimated_value.amount[gte]=1000")] == [ada["id"]]


async def test_a_foreign_lead_is_as_missing_as_one_that_never_was(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    lead = await sales.make("leads", **ADA)
    stranger = sales_for(principal(Depth.USER))
    foreign = await stranger.client.get(f"{API}/leads/{lead['id']}")
    missing = await stranger.client.get(f"{API}/leads/{lead['id'][:-12]}000000000000")
    assert foreign.status == missing.status == 404
    assert foreign.json["detail"] == missing.json["detail"]
    assert (await stranger.try_act("leads", lead, "qualify")).status == 404
    assert await stranger.page("leads") == []


async def test_a_reader_may_look_but_not_touch(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    lead = await sales.make("leads", **ADA)
    reader = sales_for(principal(Depth.NONE, lead="04000"))
    assert (await reader.get("leads", lead["id"]))["allowed_actions"] == []
    for command in ("contact", "qualify", "disqualify", "reopen"):
        answer = await reader.try_act("leads", lead, command)
        assert (answer.status, answer.problem) == (403, "forbidden")
    assert (await reader.try_make("leads", **ADA)).status == 403
    assert (await reader.delete("leads", lead)).status == 403


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("last_name", ("Abel", "Zeno")),
        ("company_name", ("Amber Ltd", "Zenith Ltd")),
        ("estimated_close_date", ("2026-12-01", "2027-01-01")),
    ],
)
async def test_leads_sort_by_what_may_be_missing(sales: Sales, key: str, values: tuple[str, str]) -> None:
    names = {"topic": "Card", "last_name": "Somebody", "company_name": "Firm"}
    unknown = await sales.make("leads", **{name: value for name, value in names.items() if name != key})
    late, early = [await sales.make("leads", **{**names, key: value}) for value in reversed(values)]
    order = [lead["id"] for lead in await sales.page("leads", f"sort={key}")]
    assert order == [unknown["id"], early["id"], late["id"]]
    assert [lead["id"] for lead in await sales.page("leads", f"sort=-{key}")] == order[::-1]
