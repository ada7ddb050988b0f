"""What is kept of messages that are no events of ours: those that cannot be read, and those that another sent than they say.

They are for operators to look at, so a bounded number of them is kept, the first ones: they show how it began, and whoever
floods a service does not wash them away. What is not kept is counted and logged.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.events.deferred import (
    FAILURES,
    INSERT,
    REPLACE,
    Failure,
    distinct,
    harmless,
)
from crm_kit.events.inbox import EventKey, key_columns, rows_of
from crm_kit.signals.metrics import counter

log = structlog.get_logger(__name__)

UNREAD_BYTES = 64 * 1024
"""So much of each is kept."""
DROPPED_TYPE = "(not kept)"

DROPPED = counter(
    "crm.inbox.dropped", "Messages that could not be read or were refused, and were not kept for want of room."
)

# What could not be read has no attempt; what could has one at least.
_KEEP = f"""
with room as (select $14 - count(*) as left_over
  from (select from inbox where state = 'parked' and attempts = 0 limit $14) kept)
{INSERT} from {FAILURES}, room
where place <= room.left_over or exists (select from inbox known where known.consumer = failure.consumer
  and known.source = failure.source and known.event_id = failure.event_id)
{REPLACE}
"""  # of constants
_KNOWN = """
select consumer, source, event_id from inbox
join unnest($1::text[], $2::text[], $3::uuid[]) as wanted (consumer, source, event_id) using (consumer, source, event_id)
"""
_COUNT = """
insert into inbox as i (consumer, source, event_id, type, state, attempts, last_error, received_at)
values ($1, '', $2, $3, 'parked', $4, $5, $6)
on conflict (consumer, source, event_id) do update set state = 'parked', last_error = excluded.last_error,
  attempts = excluded.attempts + case when i.state = 'parked' then i.attempts else 0 end
"""


class Unread:
    """Keeps such messages of one queue, ``most`` in all of the service's database; a message counts for each group it is for."""

    def __init__(self, most: int, queue: str) -> None:
        self._most, self._queue = most, queue

    async def keep(self, conn: AsyncConnection, failures: Sequence[Failure]) -> list[Failure]:
        """Store what there is room for, and how many were dropped; returns those."""
        small = [replace(failure, body=failure.body[:UNREAD_BYTES]) for failure in failures]
        await conn.exec_driver_sql(_KEEP, (*distinct(small), clock.now(), self._most))
        known = {EventKey(*row) for row in await rows_of(conn, _KNOWN, key_columns([_stored_key(f) for f in failures]))}
        dropped = [failure for failure in failures if _stored_key(failure) not in known]
        if dropped:
            error = (
                f"as many messages as it says attempts were not kept, for {self._most} of their kind are here "
                "(CRM_UNREAD_MESSAGES); the log has each as inbox.dropped"
            )
            number = len({failure.key.event_id for failure in dropped})
            count = (self._queue, uuid5(NAMESPACE_OID, self._queue), DROPPED_TYPE, number, error, clock.now())
            await conn.exec_driver_sql(_COUNT, count)
        return dropped

    def tell(self, failures: Sequence[Failure], dropped: Sequence[Failure]) -> None:
        """Log what became of them, once it is so."""
        for failure in {failure.key.event_id: failure for failure in failures}.values():
            event_id = failure.key.event_id
            lost = [one.key.consumer for one in dropped if one.key.event_id == event_id]
            kept = [
                one.key.consumer for one in failures if one.key.event_id == event_id and one.key.consumer not in lost
            ]
            told = {"event_id": str(event_id), "event_type": harmless(failure.type), "error": failure.error}
            if kept:
                log.error("inbox.parked", **told, groups=kept)
            if lost:
                DROPPED.inc()
                digest, size = hashlib.sha256(failure.body).hexdigest(), len(failure.body)
                source = harmless(failure.key.source)
                log.error("inbox.dropped", **told, groups=lost, source=source, sha256=digest, bytes=size)


def _stored_key(failure: Failure) -> EventKey:
    return failure.key._replace(source=harmless(failure.key.source))
