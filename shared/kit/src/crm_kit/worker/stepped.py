"""What waits for its next attempt when the clock of a machine goes back: it would wait for as long as the clock went back.

A wait that is twice as long as the longest that its failures ask for was not set by the clock of now.
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
    """Make due what waits too long; returns how many events and imports that were."""
    now = clock.now()
    done = [
        await conn.exec_driver_sql(_OUTBOX, (now, LONGEST_BACKOFF)),
        await conn.exec_driver_sql(_INBOX, (now, [float(seconds) for seconds in RETRY_SECONDS])),
        await conn.exec_driver_sql(_IMPORTS, (now, timedelta(seconds=LONGEST_PAUSE))),
    ]
    return sum(result.rowcount for result in done)
