"""Keeps messages that cannot be read, and messages that name a false sender.

They are kept for operators, up to a limit. The first ones are kept, because they show how the problem began, and a flood of
messages cannot displace them. The others are counted and logged.
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
"""Bytes that are kept of each message."""
DROPPED_TYPE = "(not kept)"

DROPPED = counter(
    "crm.inbox.dropped",
    "Messages that were unreadable or refused and were not kept because the space for them was full.",
)

# Messages that could not be read have no attempt. Events have at least one.
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
    """Keeps such messages of one queue. ``most`` limits their number in the service's database; a message counts once for each
    of its groups."""

    def __init__(self, most: int, queue: str) -> None:
        self._most, self._queue = most, queue

    async def keep(self, conn: AsyncConnection, failures: Sequence[Failure]) -> list[Failure]:
        """Store the messages for which there is room, and the number of the others. Returns the others."""
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
        """Log which messages were kept and which were dropped. Call it after the commit."""
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
