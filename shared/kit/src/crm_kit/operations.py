"""What operators do with events: see what is pending or parked, try again, skip with a reason, ask for a snapshot.

Works on the services' databases directly, so it also works while a service is down. ``main`` is ``crm events …``.
"""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import event_for, events_of
from crm_kit import clock, inbox, outbox, replay
from crm_kit.bus import BrokerDown, Outcome, Publisher, direct_key, replay_of
from crm_kit.db import Database, new_id
from crm_kit.management import TopologyError
from crm_kit.relay import message_of
from crm_kit.subscribers import matches, patterns_of

MOST = 1000
"""Rows a listing shows of one service."""
LOOK_SECONDS = 0.2
"""Between two looks at a snapshot that is being sent."""

NOTHING = {
    "retry": "nothing of that kind is to be tried again; what could not be read can only be skipped",
    "skip": "no such event is pending or parked",
    "skip-gap": "no such event waits in that group",
    "show": "no such event is stored",
}
"""Why a command that found no event changed none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event that is not where it should be."""

    service: str
    side: str
    """``outbox``: not yet with the broker. ``inbox``: not yet handled by ``group``."""
    group: str | None
    event_id: UUID
    type: str
    entity: UUID | None
    version: int | None
    state: str
    attempts: int
    age_seconds: float
    next_attempt_at: datetime | None
    error: str | None


_OUTBOX = """
select id, type, entity_id, entity_version, state, attempts, extract(epoch from $1 - created_at)::float8,
  next_attempt_at, last_error
from outbox where state = 'pending' order by seq limit $2
"""
_INBOX = """
select consumer, event_id, type, entity, entity_version, state, attempts,
  extract(epoch from $1 - received_at)::float8, next_attempt_at, last_error
from inbox where state = any($3) order by received_at limit $2
"""


async def pending(conn: AsyncConnection, service: str) -> list[Entry]:
    """What the relay has still to publish, and what handler groups have stored to try later."""
    rows: Sequence[Any] = (await conn.exec_driver_sql(_OUTBOX, (clock.now(), MOST))).all()
    out = [Entry(service, "outbox", None, *row) for row in rows]
    return out + await _inbox(conn, service, ["pending", "waiting"])


async def parked(conn: AsyncConnection, service: str) -> list[Entry]:
    """What handler groups have given up on."""
    return await _inbox(conn, service, ["parked"])


async def _inbox(conn: AsyncConnection, service: str, states: list[str]) -> list[Entry]:
    rows: Sequence[Any] = (await conn.exec_driver_sql(_INBOX, (clock.now(), MOST, states))).all()
    return [Entry(service, "inbox", *row) for row in rows]


_RETRY_INBOX = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = $1
where state in ('pending', 'parked') and consumer not like 'crm.%.inbox' and consumer not like 'crm.%.access' and body is not null
  and ($2::uuid is null or event_id = $2) and ($3::text is null or consumer = $3)
"""
_RETRY_OUTBOX = """
update outbox set next_attempt_at = null
where state = 'pending' and next_attempt_at is not null and ($1::uuid is null or id = $1) and $2::text is null
"""


async def retry(conn: AsyncConnection, event_id: UUID | None = None, *, group: str | None = None) -> int:
    """Make failed events due at once, with all their attempts before them; returns how many.

    One event or all, of one group or all. A message that could not be read under any group can only be skipped.
    """
    handled = await conn.exec_driver_sql(_RETRY_INBOX, (clock.now(), event_id, group))
    sent = await conn.exec_driver_sql(_RETRY_OUTBOX, (event_id, group))
    await _wake(conn)
    return handled.rowcount + sent.rowcount


_SKIP_INBOX = """
update inbox set state = 'skipped', skip_reason = $3, body = null, next_attempt_at = null
where event_id = $1 and ($2::text is null or consumer = $2) and state in ('pending', 'parked')
returning consumer, source, entity, epoch, entity_version
"""
_MOVE_PAST = """
update inbox_position p set epoch = past.epoch, version = past.version
from (select $4::int as epoch, $5::int as version where $5::int is not null union all
  (select epoch, entity_version - 1 from inbox where consumer = $1 and source = $2 and entity = $3 and state = 'waiting'
    and $5::int is null order by epoch, entity_version limit 1)) past
where p.consumer = $1 and p.source = $2 and p.entity = $3 and (p.epoch, p.version) < (past.epoch, past.version)
"""
_START = "insert into inbox_position (consumer, source, entity, version) values ($1, $2, $3, 0) on conflict do nothing"
_SKIP_OUTBOX = "update outbox set state = 'skipped', last_error = $2 where id = $1 and state = 'pending'"


async def skip(conn: AsyncConnection, event_id: UUID, *, reason: str, group: str | None = None) -> int:
    """Leave an event out for good and let what waits behind it go on; returns how many groups skipped it.

    ``reason`` is kept with the event. Without ``group`` also an outbox row that the broker does not take.
    """
    note = _note(reason)
    rows: Sequence[Any] = (await conn.exec_driver_sql(_SKIP_INBOX, (event_id, group, note))).all()
    for consumer, source, entity, epoch, version in rows:
        if entity is not None:
            await conn.exec_driver_sql(_START, (consumer, source, entity))
            await conn.exec_driver_sql(_MOVE_PAST, (consumer, source, entity, epoch, version))
    sent = 0 if group else (await conn.exec_driver_sql(_SKIP_OUTBOX, (event_id, note))).rowcount
    await _wake(conn)
    return len(rows) + sent


_CLOSE_GAP = """
update inbox set state = 'pending', attempts = 0, next_attempt_at = $3, skip_reason = $4
where event_id = $1 and consumer = $2 and state = 'waiting' returning consumer, source, entity, epoch, entity_version
"""


async def skip_gap(conn: AsyncConnection, event_id: UUID, *, group: str, reason: str) -> int:
    """Stop waiting for the versions before a waiting event, and handle it; returns 1, or 0 when it does not wait."""
    rows: Sequence[Any] = (await conn.exec_driver_sql(_CLOSE_GAP, (event_id, group, clock.now(), _note(reason)))).all()
    for consumer, source, entity, epoch, version in rows:
        await conn.exec_driver_sql(_START, (consumer, source, entity))
        await conn.exec_driver_sql(_MOVE_PAST, (consumer, source, entity, epoch, version - 1))
    await _wake(conn)
    return len(rows)


_SHOW = """
select body, epoch from outbox where id = $1
union all select body, 0 from inbox where event_id = $1 and body is not null limit 1
"""


async def show(conn: AsyncConnection, event_id: UUID) -> str | None:
    """The stored body of an event, for the eyes of an operator: it may hold personal data."""
    row: Any = (await conn.exec_driver_sql(_SHOW, (event_id,))).one_or_none()
    return None if row is None else outbox.stamped(*row).decode()


async def snapshot(conn: AsyncConnection, entities: Sequence[str], queue: str) -> UUID:
    """Ask this database's service to send its current records to a queue; returns the request's id."""
    request = new_id()
    by = getpass.getuser()
    await replay.request_snapshot(conn, id_=request, entities=entities, queue=queue, requested_by=by)
    await conn.exec_driver_sql("select pg_notify($1, '')", (replay.CHANNEL,))
    return request


_SENT = "select sent, error from snapshot_request where id = $1 and done_at is not null"


async def snapshot_sent(conn: AsyncConnection, request: UUID) -> tuple[int, str | None]:
    """Wait until the service has worked off a request: how many records it sent, and why not all. ``conn`` in autocommit."""
    while True:
        row: Any = (await conn.exec_driver_sql(_SENT, (request,))).one_or_none()
        if row is not None:
            return row.sent, row.error
        await asyncio.sleep(LOOK_SECONDS)


PAGE = 500
_PUBLISHED = """
select seq, id, entity_id, entity_version, type, body, traceparent, epoch from outbox
where seq > $1 and state = 'published' and created_at >= $2 and created_at < $3 order by seq limit $4
"""


async def send_again(
    conn: AsyncConnection,
    publisher: Publisher,
    service: str,
    queue: str,
    patterns: Sequence[str],
    *,
    since: datetime,
    until: datetime,
) -> int:
    """Send what a service has published in a period, and a queue hears by these patterns, to that queue alone, with the
    ids that it had; returns how many. ``conn`` in autocommit. Raises BrokerDown when one is not confirmed."""
    sent, last = 0, 0
    while rows := (await conn.exec_driver_sql(_PUBLISHED, (last, since, until, PAGE))).mappings().all():
        last = rows[-1]["seq"]
        heard = [row for row in rows if any(matches(pattern, row["type"]) for pattern in patterns)]
        messages = [message_of(row, service, routing_key=direct_key(queue, row["type"])) for row in heard]
        outcomes = await publisher.publish(replay_of(service), messages, seconds=30)
        if Outcome.RETURNED in outcomes:
            raise TopologyError(f"queue {queue} does not hear what it is bound to: crm topology apply")
        if any(outcome is not Outcome.CONFIRMED for outcome in outcomes):
            raise BrokerDown(f"not all were confirmed; {sent} events were: start again")
        sent += len(messages)
    return sent


def _note(reason: str) -> str:
    if not reason.strip():
        raise ValueError("a reason is required")
    return f"{reason.strip()} ({getpass.getuser()}, {clock.now():%Y-%m-%dT%H:%M:%SZ})"


async def _wake(conn: AsyncConnection) -> None:
    await conn.exec_driver_sql(
        "select pg_notify(c, '') from unnest($1::text[]) c", ([inbox.CHANNEL, outbox.WAKE_CHANNEL],)
    )


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[AsyncConnection]:
    database = Database(url, pool_size=1, application_name="crm events")
    try:
        async with database.begin() as conn:
            yield conn
    finally:
        await database.dispose()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the operator reaches it; ``management_url`` is empty where there is no such API."""

    amqp_url: str
    management_url: str

    async def patterns_of(self, queue: str) -> list[str]:
        """By which patterns a queue hears events. Raises TopologyError."""
        if not self.management_url:
            raise TopologyError("what a queue hears is told by the broker's management API alone (AMQP_MANAGEMENT_URL)")
        return await patterns_of(queue, self.amqp_url, self.management_url)


def main(
    argv: Sequence[str],
    databases: Mapping[str, str],
    broker: Broker | None = None,
    *,
    beside: Mapping[str, str] | None = None,
) -> int:
    """``crm events …`` over these databases (service name to URL) and this broker; returns the exit code.

    ``beside`` are commands that the caller answers itself, named in the help.
    """
    arguments = _parser(sorted(databases), beside or {}).parse_args(argv)
    try:
        return asyncio.run(_run(arguments, databases, broker))
    except (BrokerDown, TopologyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (SQLAlchemyError, OSError) as error:
        sys.stderr.write(f"the database does not answer: {type(error).__name__}\n")
        return 1


def _parser(services: list[str], beside: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm events", description="See and mend the flow of events.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in (
        ("pending", "events not yet published, or stored for another attempt"),
        ("parked", "events that were given up and wait for a decision"),
        ("retry", "try failed events again now"),
        ("skip", "leave an event out for good"),
        ("skip-gap", "stop waiting for the versions before a waiting event"),
        ("show", "print an event; it may hold personal data"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("--service", choices=services, help="only this service")
        if name in ("pending", "parked"):
            command.add_argument("--json", action="store_true", help="one JSON object a line")
        if name == "retry":
            which = command.add_mutually_exclusive_group(required=True)
            which.add_argument("event", nargs="?", type=UUID)
            which.add_argument("--all", action="store_true")
        elif name in ("skip", "skip-gap", "show"):
            command.add_argument("event", type=UUID)
        if name in ("retry", "skip", "skip-gap"):
            command.add_argument("--group", required=name == "skip-gap", help="only this handler group")
        if name.startswith("skip"):
            command.add_argument("--reason", required=True, help="kept with the event")
    command = commands.add_parser("snapshot", help="send current records to one queue")
    command.add_argument("--from", dest="service", required=True, choices=services)
    command.add_argument("--types", required=True, help="entities, separated by commas")
    command.add_argument("--to", dest="queue", required=True, help="a queue that hears them")
    command.add_argument(
        "--no-wait", action="store_true", help="leave it to the service's worker, now or when it is up"
    )
    command = commands.add_parser("replay", help="send what was published in a period to one queue again")
    command.add_argument("--from", dest="service", required=True, choices=services)
    command.add_argument("--since", required=True, type=_instant, help="2026-05-04T09:00:00Z")
    command.add_argument("--until", type=_instant, help="now unless given")
    command.add_argument("--to", dest="queue", required=True, help="a queue: it gets what it is bound to hear")
    for name, help_ in beside.items():
        commands.add_parser(name, help=help_, add_help=False)
    return parser


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("a time needs its zone: 2026-05-04T09:00:00Z")
    return instant


async def _run(arguments: argparse.Namespace, databases: Mapping[str, str], broker: Broker | None) -> int:
    chosen = [arguments.service] if arguments.service else sorted(databases)
    if arguments.command == "snapshot":
        return await _snapshot(arguments, databases[arguments.service], broker)
    if arguments.command == "replay":
        if broker is None:
            raise TopologyError("a replay needs the broker")
        return await _replay(arguments, databases[arguments.service], broker)
    count = 0
    for service in chosen:
        async with _opened(databases[service]) as conn:
            count += await _command(conn, service, arguments)
    if arguments.command in ("pending", "parked"):
        return 0
    if arguments.command != "show":
        _say(f"{count} changed")
    if not count:
        sys.stderr.write(f"{NOTHING[arguments.command]}\n")
    return 0 if count else 1


async def _replay(arguments: argparse.Namespace, url: str, broker: Broker) -> int:
    patterns = await broker.patterns_of(arguments.queue)
    publisher = Publisher(broker.amqp_url, name="crm events replay")
    database = Database(url, pool_size=1, application_name="crm events")
    try:
        async with database.autocommit() as conn:
            count = await send_again(
                conn,
                publisher,
                arguments.service,
                arguments.queue,
                patterns,
                since=arguments.since,
                until=arguments.until or clock.now(),
            )
    finally:
        await publisher.close()
        await database.dispose()
    _say(f"sent {count} events")
    return 0


async def _askable(service: str, types: str, queue: str, broker: Broker | None) -> list[str]:
    """The entities of a snapshot, when all of them can be sent: what is refused later would leave the others half sent.

    Raises TopologyError.
    """
    entities = list(dict.fromkeys(name.strip() for name in types.split(",") if name.strip()))
    snapshots = {entity: f"crm.{service}.{entity}.snapshot.v1" for entity in entities}
    if unknown := [entity for entity, type_ in snapshots.items() if event_for(type_) is None]:
        known = ", ".join(sorted({event.entity.name for event in events_of(service)}))
        raise TopologyError(f"{service} has no {', '.join(unknown)}; nothing was asked for. It has {known}.")
    if not entities:
        raise TopologyError("name at least one entity with --types")
    if broker is not None and broker.management_url:
        patterns = await broker.patterns_of(queue)
        if deaf := [e for e, type_ in snapshots.items() if not any(matches(pattern, type_) for pattern in patterns)]:
            raise TopologyError(f"queue {queue} does not hear {', '.join(deaf)}; nothing was asked for")
    return entities


async def _snapshot(arguments: argparse.Namespace, url: str, broker: Broker | None) -> int:
    entities = await _askable(arguments.service, arguments.types, arguments.queue, broker)
    async with _opened(url) as conn:
        request = await snapshot(conn, entities, arguments.queue)
    _say(f"requested {request}")
    if arguments.no_wait:
        return 0
    database = Database(url, pool_size=1, application_name="crm events")
    try:
        async with database.autocommit() as conn:
            count, error = await snapshot_sent(conn, request)
    finally:
        await database.dispose()
    _say(f"sent {count} records")
    if error is not None:
        sys.stderr.write(f"{error}\n")
    return 0 if error is None else 1


async def _command(conn: AsyncConnection, service: str, arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "pending" | "parked":
            entries = await (pending if arguments.command == "pending" else parked)(conn, service)
            for entry in entries:
                _say(json.dumps(asdict(entry), default=str) if arguments.json else _line(entry))
            if len(entries) >= MOST:
                sys.stderr.write(f"{service}: the oldest {MOST} are shown, there may be more\n")
            return len(entries)
        case "retry":
            return await retry(conn, arguments.event, group=arguments.group)
        case "skip":
            return await skip(conn, arguments.event, reason=arguments.reason, group=arguments.group)
        case "skip-gap":
            return await skip_gap(conn, arguments.event, group=arguments.group, reason=arguments.reason)
    body = await show(conn, arguments.event)
    if body is not None:
        _say(body)
    return 0 if body is None else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _line(entry: Entry) -> str:
    place = entry.group or f"{entry.service} relay"
    record = f"{entry.entity}@{entry.version}" if entry.entity else "-"
    state = f"{entry.state} attempts={entry.attempts} age={_age(entry.age_seconds)}"
    return f"{entry.event_id}  {place}  {entry.type}  {record}  {state}  {entry.error or ''}".rstrip()


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
