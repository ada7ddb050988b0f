"""Commands on phone calls."""

from typing import Any
from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of, reopen, reschedule, snooze
from crm_activities.activity.parties import parties_of
from crm_activities.activity.schemas import PartyInput, Reschedule, Snooze
from crm_activities.phone_call.model import PhoneCall
from crm_activities.phone_call.schemas import CallParty, PhoneCallComplete, PhoneCallCreate, PhoneCallUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities.phone_call import (
    PhoneCallAssigned,
    PhoneCallCanceled,
    PhoneCallCompleted,
    PhoneCallCreated,
    PhoneCallDeleted,
    PhoneCallReopened,
    PhoneCallRescheduled,
    PhoneCallUpdated,
)
from crm_kit.phones import normal_phone
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.uow import UnitOfWork


async def create_phone_call(uow: UnitOfWork, body: PhoneCallCreate) -> PhoneCall:
    """Create a phone call. The caller owns it."""
    await uow.start(PhoneCall)
    values = _normal(uow, await columns_of(uow, body))
    values["parties"] = await parties_of(uow, _normal_parties(uow, body.parties))
    call = PhoneCall(**values)
    call.settle_times(values)
    return uow.add(call, PhoneCallCreated)


async def update_phone_call(uow: UnitOfWork, call_id: UUID, body: PhoneCallUpdate) -> PhoneCall:
    """Change fields of an open phone call. A patch that changes no value does nothing."""
    call = await uow.get(PhoneCall, call_id, Privilege.WRITE)
    values = _normal(uow, await changes_of(uow, call, body))
    if "parties" in values:
        values["parties"] = await parties_of(uow, _normal_parties(uow, body.parties), call.parties)
    apply(call, values)
    call.settle_times(values)
    return uow.emit_if_changed(call, PhoneCallUpdated)


async def complete_phone_call(uow: UnitOfWork, call_id: UUID, body: PhoneCallComplete) -> PhoneCall:
    """Complete the phone call."""
    call = await uow.get(PhoneCall, call_id, Privilege.WRITE)
    values = body.onto(call)
    call.complete(values.pop("reason", None), uow.now)
    apply(call, values)
    call.settle_times(values)
    return uow.emit(call, PhoneCallCompleted, reason=call.status_reason, completed_at=uow.now)


async def cancel_phone_call(uow: UnitOfWork, call_id: UUID) -> PhoneCall:
    """Cancel the phone call."""
    call = await uow.get(PhoneCall, call_id, Privilege.WRITE)
    call.cancel()
    return uow.emit(call, PhoneCallCanceled)


async def reopen_phone_call(uow: UnitOfWork, call_id: UUID) -> PhoneCall:
    """Reopen the phone call."""
    return reopen(uow, await uow.get(PhoneCall, call_id, Privilege.WRITE), PhoneCallReopened)


async def reschedule_phone_call(uow: UnitOfWork, call_id: UUID, body: Reschedule) -> PhoneCall:
    """Change when the phone call is due. The same time again does nothing."""
    return reschedule(uow, await uow.get(PhoneCall, call_id, Privilege.WRITE), body, PhoneCallRescheduled)


async def snooze_phone_call(uow: UnitOfWork, call_id: UUID, body: Snooze) -> PhoneCall:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(PhoneCall, call_id, Privilege.WRITE), body, PhoneCallUpdated)


async def assign_phone_call(uow: UnitOfWork, call_id: UUID, body: Assignment) -> PhoneCall:
    """Assign the phone call to another owner."""
    call = await uow.get(PhoneCall, call_id, Privilege.ASSIGN)
    await assign(uow, call, body, PhoneCallAssigned)
    return call


async def delete_phone_call(uow: UnitOfWork, call_id: UUID) -> None:
    """Delete a phone call of any status."""
    uow.remove(await uow.get(PhoneCall, call_id, Privilege.DELETE), PhoneCallDeleted)


def _normal(uow: UnitOfWork, values: dict[str, Any]) -> dict[str, Any]:
    if values.get("phone_number") is not None:
        country = uow.runtime.directory.organization.country
        values["phone_number"] = normal_phone(values["phone_number"], country, "/phone_number")
    return values


def _normal_parties(uow: UnitOfWork, parties: list[CallParty]) -> list[PartyInput]:
    country = uow.runtime.directory.organization.country
    return [
        one
        if one.address is None
        else one.model_copy(update={"address": normal_phone(one.address, country, f"/parties/{index}/address")})
        for index, one in enumerate(parties)
    ]
