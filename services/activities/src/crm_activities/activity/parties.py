"""The participants of an activity. They are stored in it, with the name that their record had at that time."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from crm_activities.activity.schemas import PartyInput
from crm_activities.projections.record_ref import find_refs
from crm_kit.copies.referring import require_reference
from crm_kit.errors import InvalidValue
from crm_kit.work.uow import UnitOfWork


async def parties_of(
    uow: UnitOfWork, wanted: Sequence[PartyInput], before: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the parties as stored values.

    Each new record must be known, active and readable to the caller, else 422 with its pointer. Existing participants
    stay as they were stored. One statement looks up the new ones.
    """
    known = {UUID(one["party"]["id"]): one["party"] for one in before if one["party"] is not None}
    found = await find_refs(uow, {one.party.id for one in wanted if one.party is not None} - known.keys())
    kept = []
    for index, one in enumerate(wanted):
        if one.party is None and one.address is None:
            raise InvalidValue(f"/parties/{index}", "party-or-address", "Send party, address or both.")
        record = None
        if one.party is not None:
            record = known.get(one.party.id)
            if record is None or record["type"] != one.party.type:
                ref = await require_reference(
                    uow, found.get(one.party.id), one.party.type, one.party.id, f"/parties/{index}/party"
                )
                record = {"type": ref.type, "id": str(ref.id), "name": ref.name, "deleted": False}
        name = one.name or (record["name"] if record else None)
        kept.append({"role": one.role.value, "party": record, "address": one.address, "name": name})
    return kept
