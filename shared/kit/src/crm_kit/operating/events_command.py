"""``crm events …``, the command for ``stored``, ``decisions`` and ``sending`` of this room, for people and scripts."""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.management import TopologyError
from crm_kit.network.postgres import told
from crm_kit.operating import decisions, events_to_queue, stored
from crm_kit.operating.chosen import RELAY, Chosen
from crm_kit.operating.events_to_queue import Broker, NoPeriod, say
from crm_kit.operating.stored import (
    BY,
    FAILED,
    INBOX_PENDING,
    MOST,
    PAGE,
    PARKED,
    Entry,
    Total,
)
from crm_kit.store.database import Database
from crm_kit.store.outages import database_busy


class UnknownGroup(Exception):
    """No service has a handler group of that name."""


NOTHING = {
    "pending": "nothing is pending",
    "parked": "nothing is parked",
    "retry": "nothing of that kind is to be tried again; what could not be read can only be skipped",
    "skip": "no such event is pending or parked",
    "skip-gap": "no such event waits in that group",
    "show": "no such event is stored",
}
"""The message of each command that finds no event."""
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
UNLIMITED = 2**62
ATTEMPTS = 5


def main(
    argv: Sequence[str],
    databases: Mapping[str, str],
    broker: Broker | None = None,
    *,
    beside: Mapping[str, str] | None = None,
) -> int:
    """Run ``crm events …`` on these databases (service name to URL) and this broker; returns the exit code.

    ``beside`` are commands that the caller runs itself. They are named in the help.
    """
    parser = _parser(sorted(databases), beside or {})
    arguments = parser.parse_args(argv)
    if arguments.command in ("retry", "skip") and not (
        arguments.all or arguments.service or not _chosen(arguments).is_everything
    ):
        parser.error(
            f"{arguments.command}: name an event, say which by --service, --group, --type, --error or --since, or --all"
        )
    try:
        return asyncio.run(_run(arguments, databases, broker))
    except (BrokerDown, TopologyError, UnknownGroup, NoPeriod) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (SQLAlchemyError, PostgresError, OSError) as error:
        sys.stderr.write(f"the database cannot be used: {told(error)}\n")
        return 1


def _parser(services: list[str], beside: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm events", description="Inspect and repair the flow of events.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in (
        ("pending", "list events that are not published yet or wait for another attempt"),
        ("parked", "list parked events, which wait for your decision"),
        ("retry", "retry failed events now"),
        ("skip", "skip events permanently"),
        ("skip-gap", "stop waiting for the versions that precede a waiting event"),
        ("show", "print an event, which may contain personal data"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("--service", choices=services, help="only this service")
        if name in ("pending", "parked"):
            command.add_argument("--by", choices=list(BY), help="count events by this property instead of listing them")
        elif name in ("retry", "skip"):
            command.add_argument("event", nargs="?", type=UUID)
            command.add_argument("--all", action="store_true", help="all events that match the other options")
            command.add_argument(
                "--dry-run", action="store_true", help="print the number of events without changing them"
            )
        else:
            command.add_argument("event", type=UUID)
        if name in ("pending", "parked", "retry", "skip"):
            changes = name in ("retry", "skip")
            _add_filters(
                command, None if changes else MOST, "events, the oldest of each service" if changes else "lines"
            )
            # For skip, --reason is the operator's reason.
            names = ("--error",) if name == "skip" else ("--error", "--reason")
            command.add_argument(*names, dest="error", help="only events whose error contains this text")
            command.add_argument("--json", action="store_true", help="one JSON object per line")
        if name == "skip-gap":
            command.add_argument("--group", required=True, help="the handler group that waits")
        if name.startswith("skip"):
            command.add_argument(
                "--reason", dest="note", required=True, help="the reason, which is stored with the event"
            )
        if name == "skip":
            command.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    command = commands.add_parser("snapshot", help="send the current records to one queue")
    command.add_argument("--from", dest="service", required=True, choices=services)
    command.add_argument("--types", required=True, help="entities, separated by commas")
    command.add_argument("--to", dest="queue", required=True, help="the queue, which must be bound to these types")
    command.add_argument("--no-wait", action="store_true", help="do not wait until the service's worker has sent them")
    command = commands.add_parser("replay", help="send the events of a period to one queue again")
    command.add_argument("--from", dest="service", required=True, choices=services)
    command.add_argument(
        "--since",
        required=True,
        type=_instant,
        help="start of the period: 2026-05-04T09:00:00Z, or 2h for two hours ago",
    )
    command.add_argument("--until", type=_instant, help="end of the period; default: now")
    command.add_argument(
        "--to", dest="queue", required=True, help="the queue, which receives the types that it is bound to"
    )
    for name, help_ in beside.items():
        commands.add_parser(name, help=help_, add_help=False)
    return parser


def _add_filters(command: argparse.ArgumentParser, limit: int | None, what: str) -> None:
    command.add_argument("--group", help="only this handler group")
    command.add_argument("--type", help="only this event type; * matches any text: 'crm.sales.lead.*'")
    command.add_argument(
        "--since",
        type=_instant,
        help="only events stored since this time: 2026-05-04T09:00:00Z, or 2h for two hours ago",
    )
    default = "all" if limit is None else str(limit)
    command.add_argument("--limit", type=_limit, default=limit, help=f"the most {what}; 0 for all; default: {default}")


def _instant(text: str) -> datetime:
    if ago := _AGO.fullmatch(text):
        return clock.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time is 2026-05-04T09:00:00Z, or 2h for two hours ago") from None
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("a time needs its zone: 2026-05-04T09:00:00Z")
    return instant


def _limit(text: str) -> int | None:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("a limit is a number of events, or 0 for all")
    return int(text) or None


def _chosen(arguments: argparse.Namespace) -> Chosen:
    return Chosen(
        event=getattr(arguments, "event", None),
        group=arguments.group,
        type=arguments.type,
        reason=arguments.error,
        since=arguments.since,
    )


async def _run(arguments: argparse.Namespace, databases: Mapping[str, str], broker: Broker | None) -> int:
    match arguments.command:
        case "snapshot":
            return await events_to_queue.snapshot(arguments, databases[arguments.service], broker)
        case "replay":
            if broker is None:
                raise TopologyError("a replay needs the broker")
            return await events_to_queue.replay(arguments, databases[arguments.service], broker)
    services = [arguments.service] if arguments.service else sorted(databases)
    async with _opened({service: databases[service] for service in services}) as opened:
        await _require_group(opened, getattr(arguments, "group", None))
        match arguments.command:
            case "pending" | "parked":
                await (_total if arguments.by else _list)(opened, arguments)
                return 0
            case "retry" | "skip":
                return await _change(opened, arguments)
            case _:
                return await _one(opened, arguments)


@asynccontextmanager
async def _opened(urls: Mapping[str, str]) -> AsyncIterator[dict[str, Database]]:
    opened = {name: Database(url, pool_size=1, application_name="crm events") for name, url in urls.items()}
    try:
        yield opened
    finally:
        for database in opened.values():
            await database.dispose()


async def _require_group(opened: Mapping[str, Database], group: str | None) -> None:
    """Raise UnknownGroup if no service has the group, because the command would otherwise report that there are no events."""
    if group in (None, RELAY):
        return
    known: set[str] = set()
    for database in opened.values():
        async with database.begin() as conn:
            known.update(await stored.groups(conn, group))
    if group not in known:
        raise UnknownGroup(f"there is no handler group {group}; there are {', '.join(sorted({*known, RELAY}))}")


async def _list(opened: Mapping[str, Database], arguments: argparse.Namespace) -> None:
    """Print a line for each event. The number of events that are not shown goes to standard error."""
    chosen, left, any_shown = _chosen(arguments), arguments.limit or UNLIMITED, False
    for service, database in opened.items():
        shown = 0
        async with database.begin() as conn:
            list_ = stored.pending if arguments.command == "pending" else stored.parked
            async for entry in list_(conn, service, chosen, left):
                say(json.dumps(asdict(entry), default=str) if arguments.json else _line(entry))
                shown += 1
            if shown == left:
                there = sum(total.events for total in await _totals(conn, service, arguments, "state"))
                if there > shown:
                    some = f"the oldest {shown}" if shown else "none"
                    sys.stderr.write(f"{service}: {some} of {there} are shown; --limit shows more, --by counts them\n")
        left, any_shown = max(0, left - shown), any_shown or shown > 0
    if not any_shown and not arguments.json:
        sys.stderr.write(f"{NOTHING[arguments.command]}\n")


async def _total(opened: Mapping[str, Database], arguments: argparse.Namespace) -> None:
    any_shown = False
    for service, database in opened.items():
        async with database.begin() as conn:
            found = await _totals(conn, service, arguments, arguments.by)
        for total in found:
            say(json.dumps(asdict(total)) if arguments.json else _total_line(total))
        any_shown = any_shown or bool(found)
    if not any_shown and not arguments.json:
        sys.stderr.write(f"{NOTHING[arguments.command]}\n")


async def _totals(conn: AsyncConnection, service: str, arguments: argparse.Namespace, by: str) -> list[Total]:
    is_pending = arguments.command == "pending"
    states = INBOX_PENDING if is_pending else PARKED
    return await stored.totals(conn, service, states, _chosen(arguments), by=by, with_outbox=is_pending)


async def _change(opened: Mapping[str, Database], arguments: argparse.Namespace) -> int:
    """Report the number of matching events, then change them."""
    found = [await _found(service, database, arguments) for service, database in opened.items()]
    matched = sum(total.events for totals in found for total in totals)
    if arguments.event is None and not arguments.json:
        for totals in found:
            for total in totals:
                say(f"{total.service}: {total.events} of {total.value}")
    if arguments.dry_run:
        return _report(opened, arguments, found, None)
    if arguments.command == "skip" and arguments.event is None and matched and not _agreed(arguments):
        sys.stderr.write("nothing was changed; --yes leaves them out without asking\n")
        return 1
    changed = {service: await _changed(database, arguments) for service, database in opened.items()}
    return _report(opened, arguments, found, changed)


async def _found(service: str, database: Database, arguments: argparse.Namespace) -> list[Total]:
    async with database.begin() as conn:
        retries = arguments.command == "retry"
        # For one event without a group, skip also applies to the outbox.
        with_outbox = retries or (arguments.event is not None and arguments.group is None)
        return await stored.totals(conn, service, FAILED, _chosen(arguments), with_outbox=with_outbox, to_retry=retries)


def _agreed(arguments: argparse.Namespace) -> bool:
    if arguments.yes:
        return True
    return sys.stdin.isatty() and input("Leave them out for good? [y/N] ").strip().lower() in ("y", "yes")


async def _patiently(database: Database, change: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    """Change events in one transaction, and repeat it if a worker was faster.

    An event that is published meanwhile moves to another partition, and a statement that has waited for it fails.
    """
    attempt = 1
    while True:
        try:
            async with database.begin() as conn:
                return await change(conn)
        except DBAPIError as error:
            if attempt == ATTEMPTS or not database_busy(error):
                raise
            attempt += 1


async def _changed(database: Database, arguments: argparse.Namespace) -> int:
    chosen, limit = _chosen(arguments), arguments.limit
    if arguments.command == "retry":
        return await _patiently(database, partial(decisions.retry, chosen=chosen, limit=limit))
    # One transaction for each page, because handlers wait for the records that it locks.
    changed = 0
    while limit is None or changed < limit:
        most = min(PAGE, (limit or UNLIMITED) - changed)
        page = await _patiently(database, partial(decisions.skip, chosen=chosen, reason=arguments.note, limit=most))
        changed += page
        if page < PAGE:
            break
    return changed


def _report(
    opened: Mapping[str, Database],
    arguments: argparse.Namespace,
    found: Sequence[Sequence[Total]],
    changed: Mapping[str, int] | None,
) -> int:
    if arguments.json:
        for service, totals in zip(opened, found, strict=True):
            matched = sum(total.events for total in totals)
            say(json.dumps({"service": service, "matched": matched, "changed": (changed or {}).get(service, 0)}))
    elif changed is not None:
        say(f"{sum(changed.values())} changed")
    if changed is None or any(changed.values()):
        return 0
    sys.stderr.write(f"{NOTHING[arguments.command]}\n")
    return 1


async def _one(opened: Mapping[str, Database], arguments: argparse.Namespace) -> int:
    """Show one event, or close the gap before it."""
    count = 0
    for database in opened.values():
        async with database.begin() as conn:
            if arguments.command == "skip-gap":
                count += await decisions.skip_gap(conn, arguments.event, group=arguments.group, reason=arguments.note)
            elif (body := await stored.show(conn, arguments.event)) is not None:
                say(body)
                count += 1
    if arguments.command == "skip-gap":
        say(f"{count} changed")
    if not count:
        sys.stderr.write(f"{NOTHING[arguments.command]}\n")
    return 0 if count else 1


def _line(entry: Entry) -> str:
    place = entry.group or f"{entry.service} {RELAY}"
    record = f"{entry.entity}@{entry.version}" if entry.entity else "-"
    state = f"{entry.state} attempts={entry.attempts} age={_age(entry.age_seconds)}"
    return f"{entry.event_id}  {place}  {entry.type}  {record}  {state}  {entry.error or ''}".rstrip()


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _total_line(total: Total) -> str:
    ages = f"{_age(total.newest_seconds)} to {_age(total.oldest_seconds)} old"
    return f"{total.service:<12} {total.events:>9}  {ages:<14}  {total.value or '-'}"
