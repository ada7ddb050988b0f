"""`crm topology`: declare and check the suite's objects at the broker, and subscribe other systems."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from crm_contracts.catalogue import all_entities, all_events
from crm_contracts.types import personal_fields
from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import Management, TopologyError, vhost_of
from crm_kit.operating import subscribers, topology
from crm_kit.operating.subscribers import matches
from crm_local import broker
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES, Backends


def main(argv: Sequence[str], home: Home) -> int:
    """Run one command. Return the exit code. Raises NotReady if there is no suite."""
    arguments = _parser().parse_args(argv)
    deployment = Deployment.find(home)
    try:
        return asyncio.run(_run(arguments, deployment))
    except (BrokerDown, BrokerRefused, TopologyError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm topology", description="Queues, exchanges and subscribers at the broker."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("apply", help="declare what is missing; safe to repeat")
    commands.add_parser("check", help="list what is missing")
    commands.add_parser("queues", help="list the queues with their messages, bindings and consumers")
    subscriber = commands.add_parser("subscribe", help="create a user and a queue for another system")
    subscriber.add_argument("name", help="name of the subscriber: lower-case letters, digits, hyphens")
    subscriber.add_argument(
        "--bind",
        action="append",
        default=[],
        help="routing key pattern (repeatable): the queue receives these events only; by default its patterns stay",
    )
    subscriber.add_argument(
        "--queue",
        default="events",
        help=f"name of the queue, at most {subscribers.MOST_QUEUES} per subscriber; default: events",
    )
    subscriber.add_argument(
        "--rotate-password", action="store_true", help="set a new password and close open connections"
    )
    subscriber.add_argument(
        "--everything",
        action="store_true",
        help="confirm a pattern that matches all events of all services, such as '#'",
    )
    subscriber.add_argument(
        "--unpublished", action="store_true", help="confirm a pattern of events that only a later release publishes"
    )
    leaver = commands.add_parser(
        "unsubscribe", help="delete a subscriber's user, connections and queues, or one of its queues"
    )
    leaver.add_argument("name")
    leaver.add_argument("--queue", help="delete only this queue, with its messages")
    return parser


async def _run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    backends = deployment.backends
    match arguments.command:
        case "apply":
            print(await broker.declare(SERVICES, deployment.password_of, backends))
            return 0
        case "check":
            missing = await topology.check([service.name for service in SERVICES], backends.amqp_url)
            print("\n".join(missing) or "everything is declared")
            return 1 if missing else 0
        case "queues":
            print("\n".join(await _queues(backends)))
            return 0
        case "unsubscribe":
            gone = await subscribers.unsubscribe(
                arguments.name, backends.amqp_url, _management(backends), queue=arguments.queue
            )
            print("\n".join(f"deleted  {one}" for one in gone) or "there is no such subscriber")
            return 0 if gone else 1
        case _:
            return await _subscribe(arguments, backends)


async def _subscribe(arguments: argparse.Namespace, backends: Backends) -> int:
    if unknown := unheard(arguments.bind):
        for pattern in unknown:
            print(f"crm: no event type matches '{pattern}'; docs/events.md lists them all", file=sys.stderr)
        if not arguments.unpublished:
            print(
                "crm: nothing was changed; correct the pattern, or add --unpublished if a later release publishes it",
                file=sys.stderr,
            )
            return 1
    if wide := everything(arguments.bind):
        print(f"crm: '{wide}' {given()}", file=sys.stderr)
        if not arguments.everything:
            print("crm: nothing was changed; bind only the events that you need, or add --everything", file=sys.stderr)
            return 1
    made = await subscribers.subscribe(
        arguments.name,
        arguments.bind,
        backends.amqp_url,
        _management(backends),
        queue=arguments.queue,
        rotate=arguments.rotate_password,
    )
    print(f"queue     {made.queue}\nhears     {' '.join(made.patterns)}\nAMQP URL  {made.amqp_url}")
    if not made.is_password_new:
        print("(the password is unchanged; --rotate-password sets a new one)")
    return 0


def _management(backends: Backends) -> str:
    if not backends.amqp_management_url:
        raise TopologyError("this needs the broker's management API (AMQP_MANAGEMENT_URL)")
    return backends.amqp_management_url


async def _queues(backends: Backends) -> list[str]:
    """Return a line for each queue, those with most messages first."""
    async with Management(_management(backends)) as management:
        queues = await management.get(f"queues/{quote(vhost_of(backends.amqp_url), safe='')}")
    queues.sort(key=lambda queue: -queue.get("messages", 0))
    return [_line(queue) for queue in queues]


def _line(queue: dict[str, Any]) -> str:
    rate = queue.get("message_stats", {}).get("publish_details", {}).get("rate", 0.0)
    # The broker does not report the size of a stream.
    size = (
        "size not told" if queue.get("type") == "stream" else f"{queue.get('message_bytes', 0) / 1024 / 1024:.1f} MiB"
    )
    return (
        f"{queue['name']:<32} {queue.get('type', ''):<7} {queue.get('state', 'unknown'):<8} "
        f"{queue.get('messages', 0):>9} held, {size}, {queue.get('messages_unacknowledged', 0)} unacknowledged, "
        f"{queue.get('consumers', 0)} consumers, {rate:.1f} per second"
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
