"""The statements about stored events that are not done: events that failed or were set aside, and their next attempts.

Like ``crm_kit.events.inbox`` it has only statements. Each takes any number of events, so that a flood of events that a group
cannot handle costs a few statements per batch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import MAX_VERSION
from crm_kit import clock
from crm_kit.events.inbox import (
    EventKey,
    columns,
    key_columns,
    rows_of,
)
from crm_kit.store.database import fetch

RETRY_SECONDS = (10, 60, 600, 3_600, 21_600, 86_400)
"""Seconds to wait after the first, second, … failure. The failure after the last wait parks the event."""

LAST_ATTEMPT = len(RETRY_SECONDS) + 1

ENDED = "the process ended during the last attempt"
"""The error of an event whose attempt began and did not end. The event may have ended the process."""

MOST_CHARACTERS = 500
BIGGEST_BODY = 2 * 1024 * 1024
"""Bytes that are kept of a message. A longer message is not an event; the first bytes are kept for operators."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that could not be handled. A pending one without ``next_attempt_at`` is tried when it is delivered again."""

    key: EventKey
    entity: UUID | None
    version: int | None
    type: str
    body: bytes
    state: str
    attempts: int
    next_attempt_at: datetime | None
    error: str
    epoch: int = 0

    def columns(self) -> tuple[object, ...]:
        """Return the row. Values from the message are changed where they could make a statement fail."""
        return (
            self.key.consumer,
            harmless(self.key.source),
            self.key.event_id,
            self.entity,
            self.version if self.version is not None and 0 < self.version <= MAX_VERSION else None,
            harmless(self.type),
            self.state,
            self.attempts,
            self.next_attempt_at,
            harmless(self.error),
            self.body[:BIGGEST_BODY],
            self.epoch if 0 <= self.epoch <= MAX_VERSION else 0,
        )


def harmless(text: str) -> str:
    """Return a text that PostgreSQL can store and index: without U+0000 and lone surrogates, at most 500 characters."""
    return text[:MOST_CHARACTERS].encode(errors="replace").decode().replace("\0", "?")


FAILURES = """
unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::int[], $9::timestamptz[],
  $10::text[], $11::bytea[], $12::int[]) with ordinality
as failure (consumer, source, event_id, entity, entity_version, type, state, attempts, next_attempt_at, error, body, epoch, place)
"""
"""Failures as a table, with the columns that ``Failure.columns`` returns."""

INSERT = """
insert into inbox (consumer, source, event_id, entity, entity_version, type, state, attempts, next_attempt_at,
  last_error, body, epoch, received_at)
select consumer, source, event_id, entity, entity_version, type, state, attempts, next_attempt_at, error, body, epoch, $13
"""
REPLACE = """
on conflict (consumer, source, event_id) do update set state = excluded.state, attempts = excluded.attempts,
  next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error, body = excluded.body,
  epoch = excluded.epoch
where inbox.state in ('pending', 'waiting', 'parked')
"""
_STORE = f"{INSERT} from {FAILURES} order by consumer, source, event_id {REPLACE}"  # of constants
_SET_ASIDE = f"{INSERT} from {FAILURES} order by consumer, source, event_id on conflict do nothing"  # likewise


def distinct(failures: Sequence[Failure]) -> tuple[list[object], ...]:
    """Return failures as parameters of a statement that must not touch a row twice. The last failure of an event is used."""
    return columns([*{row[:3]: row for row in (failure.columns() for failure in failures)}.values()], 12)


async def store(conn: AsyncConnection, failures: Sequence[Failure]) -> None:
    """Store failed events. An event that is done by now stays done. The content of a message cannot make this fail."""
    if failures:
        await conn.exec_driver_sql(_STORE, (*distinct(failures), clock.now()))


async def set_aside(conn: AsyncConnection, failures: Sequence[Failure]) -> None:
    """Store events that were not tried, for the retries. Events that are stored already stay unchanged."""
    if failures:
        await conn.exec_driver_sql(_SET_ASIDE, (*distinct(failures), clock.now()))


_FAIL = f"""
update inbox i set state = failure.state, attempts = failure.attempts, next_attempt_at = failure.next_attempt_at,
  last_error = failure.error, body = failure.body, epoch = failure.epoch
from {FAILURES}
where i.consumer = failure.consumer and i.source = failure.source and i.event_id = failure.event_id
"""  # of constants


async def fail(conn: AsyncConnection, failures: Sequence[Failure]) -> None:
    """Store failed events whose inbox rows this transaction has inserted or claimed."""
    if failures:
        await conn.exec_driver_sql(_FAIL, columns([failure.columns() for failure in failures], 12))


# Each state has its own index. The index of all events that are not done also has the parked ones, which may be many.
_ANY = "select " + " or ".join(
    "exists (select from unnest($1::text[]) as asked(consumer) cross join lateral ("
    f"select from inbox where inbox.consumer = asked.consumer and state = '{state}' limit 1) stored)"
    for state in ("pending", "waiting")
)


async def any_stored(conn: AsyncConnection, consumers: list[str]) -> bool:
    """Whether these groups have a pending or waiting event."""
    return bool((await fetch(conn, _ANY, (consumers,)))[0][0])


# Group and time are compared and sorted together, so that only the index on both serves and the due events of other groups are
# not read. If the group were compared for equality, the planner might prefer the index on the time alone.
_OF_GROUP = """
state = 'pending' and (inbox.consumer, next_attempt_at) > ({0}, '-infinity') and (inbox.consumer, next_attempt_at) <= ({0}, $1)
"""
_DUE = f"""
select consumer from unnest($2::text[]) as asked(consumer) cross join lateral (
  select from inbox where {_OF_GROUP.format("asked.consumer")} order by inbox.consumer, next_attempt_at limit 1) due
"""  # of constants


async def due_groups(conn: AsyncConnection, consumers: list[str]) -> list[str]:
    """Return those of these groups that have a due event."""
    return [row[0] for row in await fetch(conn, _DUE, (clock.now(), consumers))]


# The error is a literal in the statement, so that the partial index on suspects serves. Suspects are rare among due events.
_CLAIM, _CLAIM_SUSPECTS = (
    f"""
update inbox i set attempts = i.attempts + 1, last_error = '{ENDED}',
  next_attempt_at = $1 + make_interval(secs => ($3::float8[])[least(i.attempts + 1, array_length($3::float8[], 1))])
from (select consumer, source, event_id from inbox
  where {_OF_GROUP.format("$4")} and last_error {compared} '{ENDED}'
  order by consumer, next_attempt_at limit $2 for update skip locked) due
where i.consumer = due.consumer and i.source = due.source and i.event_id = due.event_id
returning i.consumer, i.source, i.event_id, i.body, i.attempts
"""  # of constants
    for compared in ("is distinct from", "=")
)


class Claimed(NamedTuple):
    """A stored event that was claimed for an attempt. ``attempts`` includes this one."""

    key: EventKey
    body: bytes
    attempts: int


async def claim_due(
    conn: AsyncConnection, group: str, limit: int, jitter: float, *, suspects: bool = False
) -> list[Claimed]:
    """Claim due events of a group. The attempt is counted before it is made, so that one that kills the process counts, too.

    With ``suspects`` it claims only events whose last attempt did not end; otherwise it claims only the others. ``jitter`` is a
    factor of the waits (1.0 leaves them unchanged).
    """
    waits = [seconds * jitter for seconds in RETRY_SECONDS]
    statement = _CLAIM_SUSPECTS if suspects else _CLAIM
    rows = await rows_of(conn, statement, (clock.now(), limit, waits, group))
    return [Claimed(EventKey(*row[:3]), row[3], row[4]) for row in rows]


_TAKE_OVER = f"""
update inbox i set next_attempt_at = $4, last_error = '{ENDED}'
from unnest($1::text[], $2::text[], $3::uuid[]) as noted (consumer, source, event_id)
where i.consumer = noted.consumer and i.source = noted.source and i.event_id = noted.event_id
  and i.state = 'pending' and i.next_attempt_at is null
"""  # of constants


async def take_over(conn: AsyncConnection, keys: Collection[EventKey]) -> int:
    """Make events due whose attempt began in another process and has not ended; returns the number. They become suspects.

    Call it before acknowledging their redelivered messages, because no other process will get them.
    """
    return (await conn.exec_driver_sql(_TAKE_OVER, (*key_columns(keys), clock.now()))).rowcount


_PARK = """
update inbox i set state = 'parked', last_error = given_up.error, next_attempt_at = null
from unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) as given_up (consumer, source, event_id, error)
where i.consumer = given_up.consumer and i.source = given_up.source and i.event_id = given_up.event_id
  and i.state in ('pending', 'waiting')
"""


async def park(conn: AsyncConnection, errors: dict[EventKey, str]) -> None:
    """Park stored events until an operator decides."""
    if errors:
        await conn.exec_driver_sql(_PARK, (*key_columns(errors), [harmless(error) for error in errors.values()]))


_STATES = """
select consumer, attempts, case when state = 'pending' and next_attempt_at is null then 'noted' else state end
from inbox where consumer = any($1) and source = $2 and event_id = $3
"""


async def states_of(
    conn: AsyncConnection, consumers: Collection[str], source: str, event_id: UUID
) -> dict[str, tuple[int, str]]:
    """Return the attempts and the state of one event per group. State ``noted`` means that an attempt began and did not end."""
    rows = await rows_of(conn, _STATES, (list(consumers), source, event_id))
    return {row[0]: (row[1], row[2]) for row in rows}
