"""Commands on cases: rows and events, in a transaction that is rolled back."""

import pytest

from crm_kit.errors import DomainError, IllegalTransition, InvalidValue
from crm_kit.testing import announced, emitted
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.case import commands
from crm_service_mgmt.case.model import Case
from crm_service_mgmt.case.schemas import CaseCreate, CaseCustomerInput, CaseResolve, CaseUpdate

from .desk import Customer


@pytest.fixture
async def case(uow: UnitOfWork, ada: Customer) -> Case:
    customer = CaseCustomerInput(type="contact", id=ada.id)
    made = await commands.create_case(uow, CaseCreate(title="The bill is wrong", customer=customer))
    assert emitted(uow) == ["crm.service.case.created.v1"]
    await uow.flush()
    return made


MOVES = [
    ("hold_case", "held", "active/on_hold"),
    ("wait_case", "waiting", "active/waiting_for_details"),
    ("research_case", "researching", "active/researching"),
    ("escalate_case", "escalated", "active/in_progress"),
    ("cancel_case", "canceled", "canceled/canceled"),
]


@pytest.mark.parametrize(("command", "fact", "state"), MOVES)
async def test_each_move_tells_the_others(uow: UnitOfWork, case: Case, command: str, fact: str, state: str) -> None:
    moved = await getattr(commands, command)(uow, case.id)
    assert (moved.state, moved.version) == (state, 2)
    assert emitted(uow) == [f"crm.service.case.{fact}.v1"]
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["record"]["status"] == state.partition("/")[0]


async def test_resuming_goes_on_in_progress(uow: UnitOfWork, case: Case) -> None:
    await commands.hold_case(uow, case.id)
    await uow.flush()
    assert (await commands.resume_case(uow, case.id)).state == "active/in_progress"
    assert emitted(uow) == ["crm.service.case.resumed.v1"]


async def test_escalating_says_when_and_happens_once(uow: UnitOfWork, case: Case) -> None:
    await commands.escalate_case(uow, case.id)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert event["data"]["escalated_at"] == event["data"]["record"]["escalated_at"] == event["time"]
    with pytest.raises(IllegalTransition):
        await commands.escalate_case(uow, case.id)
    assert emitted(uow) == []


async def test_resolving_keeps_a_record_and_tells_what_was_done(uow: UnitOfWork, case: Case) -> None:
    body = CaseResolve(kind="information_provided", resolution="Sent the tariff", minutes=25, billable_minutes=10)
    resolved = await commands.resolve_case(uow, case.id, body)
    await uow.flush()
    data = (await announced(uow))[-1]["data"]
    assert resolved.state == "resolved/information_provided"
    facts = {"kind": "information_provided", "resolution": "Sent the tariff", "minutes": 25, "billable_minutes": 10}
    assert facts.items() <= data.items()
    by = {"resolved_at": data["resolved_at"], "reversed_at": None, "by": str(uow.principal.id)}
    assert data["record"]["resolutions"] == [facts | by]
    assert data["record"]["resolved_at"] == data["resolved_at"]


async def test_more_billed_than_spent_is_refused_and_changes_nothing(uow: UnitOfWork, case: Case) -> None:
    with pytest.raises(InvalidValue, match="more-than-spent") as refused:
        await commands.resolve_case(uow, case.id, CaseResolve(minutes=5, billable_minutes=6))
    assert refused.value.errors[0].pointer == "/billable_minutes"
    assert not uow.changed(case)


async def test_what_is_closed_is_refused_before_its_minutes_are_looked_at(uow: UnitOfWork, case: Case) -> None:
    await commands.cancel_case(uow, case.id)
    await uow.flush()
    with pytest.raises(IllegalTransition):
        await commands.resolve_case(uow, case.id, CaseResolve(minutes=5, billable_minutes=6))


async def test_reactivating_tells_which_resolution_holds_no_longer(uow: UnitOfWork, case: Case) -> None:
    await commands.resolve_case(uow, case.id, CaseResolve(resolution="Refunded"))
    await uow.flush()
    again = await commands.reactivate_case(uow, case.id)
    await uow.flush()
    data = (await announced(uow))[-1]["data"]
    assert again.resolved_at is None
    assert data["reversed_resolution"] == data["record"]["resolutions"][0]
    assert data["reversed_resolution"]["reversed_at"] is not None
    await commands.cancel_case(uow, case.id)
    await uow.flush()
    await commands.reactivate_case(uow, case.id)
    await uow.flush()
    assert (await announced(uow))[-1]["data"]["reversed_resolution"] is None


@pytest.mark.parametrize("command", ["resolve_case", "cancel_case"])
async def test_what_is_closed_is_read_only_until_reactivated(uow: UnitOfWork, case: Case, command: str) -> None:
    more = (CaseResolve(),) if command == "resolve_case" else ()
    await getattr(commands, command)(uow, case.id, *more)
    await uow.flush()
    with pytest.raises(DomainError, match="only be edited"):
        await commands.update_case(uow, case.id, CaseUpdate(title="Another"))
    await commands.reactivate_case(uow, case.id)
    await uow.flush()
    assert (await commands.update_case(uow, case.id, CaseUpdate(title="Another"))).title == "Another"


async def test_a_patch_that_changes_nothing_is_no_change(uow: UnitOfWork, case: Case, ada: Customer) -> None:
    same = CaseUpdate(title="The bill is wrong", customer=CaseCustomerInput(type="contact", id=ada.id), contact_id=None)
    assert (await commands.update_case(uow, case.id, same)).version == 1
    assert emitted(uow) == []


async def test_a_resolved_case_is_kept_and_others_may_go(uow: UnitOfWork, case: Case) -> None:
    await commands.resolve_case(uow, case.id, CaseResolve())
    await uow.flush()
    with pytest.raises(DomainError, match="not-deletable"):
        await commands.delete_case(uow, case.id)
    await commands.reactivate_case(uow, case.id)
    await uow.flush()
    await commands.delete_case(uow, case.id)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert (event["type"], event["entityversion"]) == ("crm.service.case.deleted.v1", 4)
    assert event["data"]["changed"] == {}
