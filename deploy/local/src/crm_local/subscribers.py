"""`crm subscribers`: other systems that read events from queues of their own."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from crm_contracts.catalogue import all_entities, all_events
from crm_contracts.types import personal_fields
from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import TopologyError
from crm_kit.broker.names import COUNTER
from crm_kit.network.amqp_urls import Brokers
from crm_kit.operating import subscribers
from crm_kit.operating.patterns import matches
from crm_kit.operating.subscribers import At, Standing, Subscription
from crm_kit.store.database import Database
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES, Backends
from crm_local.topology import management_of

_DROPPED = "select queue, reason, messages from subscriber_drop"


def main(argv: Sequence[str], home: Home) -> int:
    """Run one command. Return the exit code. Raises NotReady if there is no suite."""
    arguments = _parser().parse_args(argv)
    deployment = Deployment.find(home)
    try:
        return asyncio.run(_run(arguments, _at(deployment.backends), deployment))
    except (BrokerDown, BrokerRefused, TopologyError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1


def _at(backends: Backends) -> At:
    elsewhere = os.environ.get("CRM_SUBSCRIBER_URL", "")
    if elsewhere:
        Brokers.of(elsewhere)
    return At(backends.amqp_url, management_of(backends), elsewhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm subscribers", description="Other systems that read events from queues of their own."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adding = commands.add_parser(
        "add", help="create a user and a queue for another system, or give it another queue, or more events"
    )
    _named(adding)
    _bound(adding, "routing key pattern (repeatable): the queue receives these events, besides those that it has")
    adding.add_argument("--log", action="store_true", help="also let it read the stream of all events, crm.log")
    adding.add_argument(
        "--everything",
        action="store_true",
        help="confirm a pattern that matches all events of all services, such as '#'",
    )
    adding.add_argument(
        "--unpublished", action="store_true", help="confirm a pattern of events that only a later release publishes"
    )
    _secret(adding)
    listing = commands.add_parser("list", help="list the queues with what they hear and what waits in them")
    listing.add_argument("name", nargs="?", help="only this subscriber")
    listing.add_argument("--json", action="store_true", help="print JSON")
    narrowing = commands.add_parser("narrow", help="take events, or the stream, away from a subscriber")
    _named(narrowing)
    _bound(narrowing, "routing key pattern (repeatable) within the present ones: the queue receives these events only")
    narrowing.add_argument("--no-log", action="store_true", help="take the stream away, and end its connections")
    rotating = commands.add_parser("rotate", help="set a new password and end open connections")
    rotating.add_argument("name")
    _secret(rotating)
    removing = commands.add_parser("remove", help="delete a user, its connections and its queues, or one of its queues")
    removing.add_argument("name")
    removing.add_argument("--queue", help="delete only this queue, with its messages")
    return parser


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the subscriber: lower-case letters, digits, hyphens")
    parser.add_argument(
        "--queue",
        default="events",
        help=f"name of the queue, at most {subscribers.MOST_QUEUES} per subscriber; default: events",
    )


def _bound(parser: argparse.ArgumentParser, explained: str) -> None:
    parser.add_argument("--bind", action="append", default=[], metavar="PATTERN", help=explained)


def _secret(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="write the URL with the password to this new file, which only you can read, instead of printing it",
    )


async def _run(arguments: argparse.Namespace, at: At, deployment: Deployment) -> int:
    match arguments.command:
        case "add":
            return await _add(arguments, at)
        case "list":
            return await _list(arguments, at, deployment)
        case "narrow":
            return await _narrow(arguments, at)
        case "rotate":
            with _output(arguments.password_file) as output:
                print(f"AMQP URL  {await subscribers.rotate(arguments.name, at)}", file=output)
            return 0
        case _:
            gone = await subscribers.remove(arguments.name, at, queue=arguments.queue)
            if not gone:
                raise TopologyError(f"there is no subscriber {arguments.name}; crm subscribers list shows all")
            print("\n".join(f"deleted  {one}" for one in gone))
            return 0


async def _add(arguments: argparse.Namespace, at: At) -> int:
    _require_heard(arguments.bind, unpublished=arguments.unpublished)
    wide = "crm.log" if arguments.log else everything(arguments.bind)
    if wide:
        print(f"crm: '{wide}' {given()}", file=sys.stderr)
    if wide and not (arguments.everything or arguments.log):
        raise TopologyError("nothing was changed; bind only the events that you need, or add --everything")
    with _output(arguments.password_file) as output:
        made = await subscribers.add(arguments.name, arguments.bind, at, queue=arguments.queue, log=arguments.log)
        _show(made)
        if made.is_password_new:
            print(f"AMQP URL  {made.amqp_url}", file=output)
        else:
            print(f"AMQP URL  {made.amqp_url}\n(the password is unchanged; crm subscribers rotate sets a new one)")
    return 0


async def _narrow(arguments: argparse.Namespace, at: At) -> int:
    if not (arguments.bind or arguments.no_log):
        raise TopologyError("say with --bind what is left, or take the stream away with --no-log")
    if arguments.bind:
        queue = f"ext.{arguments.name}.{arguments.queue}"
        bound = await subscribers.patterns_of(queue, at.amqp_url, at.management_url)
        _require_heard([one for one in arguments.bind if one not in bound], unpublished=False)
    _show(
        await subscribers.narrow(
            arguments.name, at, patterns=arguments.bind, queue=arguments.queue, close_log=arguments.no_log
        )
    )
    return 0


async def _list(arguments: argparse.Namespace, at: At, deployment: Deployment) -> int:
    found = [one for one in await subscribers.listed(at) if arguments.name in (None, one.subscriber)]
    dropped = await _dropped(deployment)
    if arguments.json:
        print(json.dumps([{**asdict(one), "dropped": dropped.get(one.queue, {})} for one in found], indent=1))
        return 0
    if not found:
        print(f"there is no subscriber {arguments.name}" if arguments.name else "there are no subscribers")
        return 1 if arguments.name else 0
    print("\n".join(_line(one, dropped.get(one.queue, {})) for one in found))
    return 0


def _show(made: Subscription) -> None:
    print(f"queue     {made.queue}\nhears     {' '.join(made.patterns)}")
    if made.reads_log:
        print("reads     crm.log, the stream of all events")


async def _dropped(deployment: Deployment) -> dict[str, dict[str, int]]:
    """Return the messages that were dropped from each queue, by reason, as identity has counted them."""
    [service] = [service for service in SERVICES if service.name == COUNTER]
    database = Database(deployment.database(service), pool_size=1, application_name="crm subscribers")
    try:
        async with database.autocommit() as conn:
            rows: Sequence[Any] = (await conn.exec_driver_sql(_DROPPED)).all()
    finally:
        await database.dispose()
    found: dict[str, dict[str, int]] = {}
    for queue, reason, messages in rows:
        found.setdefault(queue, {})[reason] = messages
    return found


def _line(one: Standing, dropped: Mapping[str, int]) -> str:
    if not one.queue:
        return f"{one.subscriber:<32} has no queue{', reads crm.log' if one.reads_log else ''}"
    lost = ", ".join(f"{messages} dropped ({reason})" for reason, messages in sorted(dropped.items()))
    return (
        f"{one.queue:<32} {one.waiting:>9} waiting, {one.unacknowledged} unacknowledged, {one.size / 2**20:.1f} MiB, "
        f"{lost or 'none dropped'}, {one.consumers} consumers{', reads crm.log' if one.reads_log else ''}\n"
        f"    hears {' '.join(one.patterns)}"
    )


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Yield where to write a password: a new file of the user's own, or standard output.

    The file is made first, so that nothing is made at the broker if it cannot be. It is deleted if nothing was written.
    """
    if path is None:
        yield sys.stdout
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TopologyError(f"--password-file {path}: {error.strerror}; nothing was changed") from None
    with os.fdopen(handle, "w") as output:
        try:
            yield output
        finally:
            if not output.tell():
                path.unlink()


def _require_heard(patterns: Sequence[str], *, unpublished: bool) -> None:
    unknown = unheard(patterns)
    for pattern in unknown:
        print(f"crm: no event type matches '{pattern}'; docs/events.md lists them all", file=sys.stderr)
    if unknown and not unpublished:
        raise TopologyError(
            "nothing was changed; correct the pattern, or add --unpublished if a later release publishes it"
        )


def unheard(patterns: Sequence[str]) -> list[str]:
    """Return the patterns that match no known event. Snapshots count as events, although they need no binding."""
    types = [event.type for event in all_events()]
    return [pattern for pattern in patterns if not any(matches(pattern, type_) for type_ in types)]


def everything(patterns: Sequence[str]) -> str | None:
    """Return the first pattern that matches all events of all services; None if there is none."""
    types = [event.type for event in all_events()]
    return next((pattern for pattern in patterns if all(matches(pattern, type_) for type_ in types)), None)


def given() -> str:
    """Return which data a subscriber of all events gets."""
    personal = [entity.name for entity in all_entities() if personal_fields(entity.record)]
    services = sorted({entity.service for entity in all_entities()})
    return (
        f"gives every change of all {len(all_entities())} kinds of records of {', '.join(services)}, whoever owns them, "
        f"with the whole record. {len(personal)} kinds contain personal data: {', '.join(personal)}."
    )
