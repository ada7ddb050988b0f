"""Repairs waits for a next attempt after a machine's clock went back, because they would last longer by that time.

A wait that is more than twice as long as the failures require was set by another clock.
"""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.events.deferred import RETRY_SECONDS
from crm_kit.events.relay import LONGEST_BACKOFF
from crm_kit.importing.queue import LONGEST_PAUSE

_OUTBOX = """
update outbox set next_attempt_at = $1 where state = 'pending'
  and next_attempt_at > $1::timestamptz + least(make_interval(secs => 2 ^ least(attempts, 20)), 2 * $2::interval)
"""
_INBOX = """
update inbox set next_attempt_at = $1 where state = 'pending' and next_attempt_at > $1::timestamptz
  + make_interval(secs => 2 * ($2::float8[])[greatest(1, least(attempts, array_length($2::float8[], 1)))])
"""
_IMPORTS = """
update import_job set next_attempt_at = $1
where status in ('queued', 'running') and next_attempt_at > $1::timestamptz + 2 * $2::interval
"""


async def try_again(conn: AsyncConnection) -> int:
    """Make events and imports due that wait too long; returns the number."""
    now = clock.now()
    done = [
        await conn.exec_driver_sql(_OUTBOX, (now, LONGEST_BACKOFF)),
        await conn.exec_driver_sql(_INBOX, (now, [float(seconds) for seconds in RETRY_SECONDS])),
        await conn.exec_driver_sql(_IMPORTS, (now, timedelta(seconds=LONGEST_PAUSE))),
    ]
    return sum(result.rowcount for result in done)
