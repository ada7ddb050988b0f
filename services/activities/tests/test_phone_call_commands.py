"""Commands on phone calls: rows and events, in a transaction that is rolled back."""

from datetime import UTC, datetime, timedelta

import pytest

from crm_activities.activity.commands import remind_owner
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.phone_call import commands
from crm_activities.phone_call.model import PhoneCall
from crm_activities.phone_call.schemas import PhoneCallComplete, PhoneCallCreate, PhoneCallUpdate
from crm_contracts.activities.phone_call import CallDirection, CallReason, PhoneCallReminderDue
from crm_kit.errors import DomainError, IllegalTransition, InvalidValue
from crm_kit.testing import announced, emitted
from crm_kit.work.uow import UnitOfWork

DUE = datetime(2026, 12, 1, 9, tzinfo=UTC)
TYPE = "crm.activities.phone_call.{}.v1"


@pytest.fixture
async def call(uow: UnitOfWork) -> PhoneCall:
    made = await commands.create_phone_call(uow, PhoneCallCreate(subject="Offer", due_at=DUE, remind_at=DUE))
    await uow.flush()
    return made


async def test_a_new_call_belongs_to_its_maker(uow: UnitOfWork) -> None:
    made = await commands.create_phone_call(uow, PhoneCallCreate(subject="Offer"))
    assert (made.owner_id, made.business_unit_id, made.state) == (uow.principal.id, uow.principal.unit, "open/open")
    assert (made.direction, made.left_voicemail, made.parties) == ("outgoing", False, [])
    assert emitted(uow) == [TYPE.format("created")]


async def test_a_held_call_is_logged_in_one_go(uow: UnitOfWork) -> None:
    held = PhoneCallCreate(subject="Offer", started_at=DUE, ended_at=DUE + timedelta(minutes=12))
    assert (await commands.create_phone_call(uow, held)).duration_minutes == 12


@pytest.mark.parametrize(("direction", "reason"), [("outgoing", "made"), ("incoming", "received")])
async def test_completing_tells_the_others_how(uow: UnitOfWork, direction: str, reason: str) -> None:
    body = PhoneCallCreate(subject="Offer", direction=CallDirection(direction))
    call = await commands.create_phone_call(uow, body)
    await uow.flush()
    done = await commands.complete_phone_call(uow, call.id, PhoneCallComplete())
    assert (done.state, done.version, done.completed_at) == (f"completed/{reason}", 2, uow.now)
    assert emitted(uow) == [TYPE.format("completed")]
    await uow.flush()
    data = (await announced(uow))[-1]["data"]
    assert (data["reason"], data["record"]["status_reason"]) == (reason, reason)


async def test_completing_says_how_it_went(uow: UnitOfWork, call: PhoneCall) -> None:
    went = PhoneCallComplete(
        reason=CallReason.RECEIVED, outcome="Interested", started_at=DUE, ended_at=DUE + timedelta(seconds=90)
    )
    done = await commands.complete_phone_call(uow, call.id, went)
    assert (done.state, done.outcome, done.duration_minutes) == ("completed/received", "Interested", 2)
    assert done.left_voicemail is False


async def test_completing_keeps_what_it_does_not_speak_of(uow: UnitOfWork, call: PhoneCall) -> None:
    await commands.update_phone_call(uow, call.id, PhoneCallUpdate(outcome="Busy", left_voicemail=True))
    await uow.flush()
    done = await commands.complete_phone_call(uow, call.id, PhoneCallComplete())
    assert (done.outcome, done.left_voicemail) == ("Busy", True)


async def test_times_out_of_order_are_refused(uow: UnitOfWork, call: PhoneCall) -> None:
    with pytest.raises(InvalidValue) as refused:
        await commands.update_phone_call(
            uow, call.id, PhoneCallUpdate(scheduled_start_at=DUE, scheduled_end_at=DUE - timedelta(hours=1))
        )
    assert refused.value.errors[0].pointer == "/scheduled_end_at"


async def test_canceling_tells_the_others(uow: UnitOfWork, call: PhoneCall) -> None:
    assert (await commands.cancel_phone_call(uow, call.id)).state == "canceled/canceled"
    assert emitted(uow) == [TYPE.format("canceled")]


@pytest.mark.parametrize("how", ["complete", "cancel"])
async def test_what_is_closed_is_read_only_until_reopened(uow: UnitOfWork, call: PhoneCall, how: str) -> None:
    if how == "complete":
        await commands.complete_phone_call(uow, call.id, PhoneCallComplete(outcome="Interested"))
    else:
        await commands.cancel_phone_call(uow, call.id)
    await uow.flush()
    with pytest.raises(DomainError, match="only be edited"):
        await commands.update_phone_call(uow, call.id, PhoneCallUpdate(subject="Again"))
    with pytest.raises(IllegalTransition):
        await commands.reschedule_phone_call(uow, call.id, Reschedule(due_at=None))
    with pytest.raises(IllegalTransition):
        await commands.snooze_phone_call(uow, call.id, Snooze(until=DUE))
    reopened = await commands.reopen_phone_call(uow, call.id)
    assert emitted(uow) == [TYPE.format("reopened")]
    assert (reopened.completed_at, reopened.outcome) == (None, "Interested" if how == "complete" else None)
    await uow.flush()
    assert (await commands.update_phone_call(uow, call.id, PhoneCallUpdate(subject="Again"))).subject == "Again"


async def test_a_patch_that_changes_nothing_is_no_change(uow: UnitOfWork, call: PhoneCall) -> None:
    same = await commands.update_phone_call(uow, call.id, PhoneCallUpdate(subject="Offer", due_at=DUE, parties=[]))
    assert (same.version, emitted(uow)) == (1, [])


async def test_rescheduling_says_from_when_to_when(uow: UnitOfWork, call: PhoneCall) -> None:
    await commands.reschedule_phone_call(uow, call.id, Reschedule(due_at=DUE + timedelta(days=7)))
    assert emitted(uow) == [TYPE.format("rescheduled")]
    await uow.flush()
    data = (await announced(uow))[-1]["data"]
    assert (data["old_due_at"], data["new_due_at"]) == ("2026-12-01T09:00:00Z", "2026-12-08T09:00:00Z")


@pytest.mark.parametrize("how", ["reschedule", "patch"])
async def test_a_reminder_moves_with_the_due_time_and_reminds_anew(uow: UnitOfWork, call: PhoneCall, how: str) -> None:
    await remind_owner(uow, PhoneCall, call.id, PhoneCallReminderDue)
    await uow.flush()
    before, later = call.remind_at, DUE + timedelta(days=7)
    assert before is not None
    if how == "reschedule":
        moved = await commands.reschedule_phone_call(uow, call.id, Reschedule(due_at=later))
    else:
        moved = await commands.update_phone_call(uow, call.id, PhoneCallUpdate(due_at=later))
    assert (moved.remind_at, moved.reminded_at) == (before + timedelta(days=7), None)


async def test_a_reminder_that_is_sent_with_the_due_time_is_as_sent(uow: UnitOfWork, call: PhoneCall) -> None:
    wanted = DUE + timedelta(hours=1)
    both = PhoneCallUpdate(due_at=DUE + timedelta(days=7), remind_at=wanted)
    assert (await commands.update_phone_call(uow, call.id, both)).remind_at == wanted


async def test_snoozing_sets_the_reminder_again(uow: UnitOfWork, call: PhoneCall) -> None:
    await remind_owner(uow, PhoneCall, call.id, PhoneCallReminderDue)
    assert emitted(uow) == [TYPE.format("reminder_due")]
    await uow.flush()
    until = uow.now + timedelta(minutes=10)
    snoozed = await commands.snooze_phone_call(uow, call.id, Snooze(until=until))
    assert (snoozed.remind_at, snoozed.reminded_at) == (until, None)
    assert emitted(uow) == [TYPE.format("updated")]


async def test_a_deleted_call_is_announced_at_the_next_version(uow: UnitOfWork, call: PhoneCall) -> None:
    await commands.delete_phone_call(uow, call.id)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert (event["type"], event["entityversion"]) == (TYPE.format("deleted"), 2)
