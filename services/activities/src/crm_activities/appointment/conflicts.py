"""Who is busy when. An overlap is told and never refused."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from crm_activities.appointment.domain import Times
from crm_activities.appointment.model import RESERVED, Appointment
from crm_contracts.types import utc_text
from crm_kit.work.uow import UnitOfWork

MOST: Final = 100

# The condition is that of the index over the times. Two appointments that touch do not overlap.
_OVERLAPPING: Final = f"""
select id, subject, owner_id, business_unit_id, status_reason, scheduled_start_at, scheduled_end_at, who.ids
from appointment cross join lateral (
  select array_agg(p order by p) as ids from unnest($3::uuid[]) p where p = owner_id or p = any(party_ids)
    and not parties @> jsonb_build_array(jsonb_build_object('party', jsonb_build_object('id', p), 'reply', 'declined'))
) who
where {RESERVED} and tstzrange(scheduled_start_at, scheduled_end_at) && tstzrange($1, $2)
  and id is distinct from $4::uuid and who.ids is not null
order by scheduled_start_at, id limit {MOST + 1}
"""  # noqa: S608  # a condition of ours


async def conflicts_at(
    uow: UnitOfWork, times: Times, people: Sequence[UUID], but: UUID | None = None
) -> dict[str, Any]:
    """Return the appointments of these people that overlap with these times, except one. Of those that the caller may not read,
    only the time is told."""
    if not people:
        return {"items": [], "more": False}
    ids = sorted(set(people))
    asked = (times.scheduled_start_at, times.scheduled_end_at, ids, but)
    found = (await (await uow.connection()).exec_driver_sql(_OVERLAPPING, asked)).mappings().all()
    reach = uow.reach(Appointment)
    items = []
    for row in found[:MOST]:
        readable = reach.covers(row["owner_id"], row["business_unit_id"])
        items.append(
            {
                "appointment_id": row["id"] if readable else None,
                "subject": row["subject"] if readable else None,
                "hidden": not readable,
                "party_ids": row["ids"],
                "status_reason": row["status_reason"],
                "scheduled_start_at": utc_text(row["scheduled_start_at"]),
                "scheduled_end_at": utc_text(row["scheduled_end_at"]),
            }
        )
    return {"items": items, "more": len(found) > MOST}


def people_of(appointment: Appointment) -> list[UUID]:
    """Return who is busy during an appointment: its owner and who takes part, except who declined."""
    there = [one for one in appointment.parties if one["party"] is not None and one["reply"] != "declined"]
    owner = [appointment.owner_id] if appointment.owner_type == "user" else []
    return [*owner, *(UUID(one["party"]["id"]) for one in there)]
