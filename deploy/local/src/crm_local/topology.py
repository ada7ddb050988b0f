"""`crm topology`: declare, check, and let other systems subscribe."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from crm_contracts.catalogue import all_events
from crm_kit import topology
from crm_kit.bus import BrokerDown, BrokerRefused
from crm_local import broker
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES


def main(argv: Sequence[str], home: Home) -> int:
    """`crm topology apply|check|subscribe`; returns the exit code. Raises NotReady when there is no suite to do it for."""
    parser = argparse.ArgumentParser(prog="crm topology", description="What the suite needs at the broker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("apply", help="declare what is missing; safe to repeat")
    commands.add_parser("check", help="say what is missing")
    subscriber = commands.add_parser("subscribe", help="a user and a queue for another system")
    subscriber.add_argument("name", help="of the subscriber: lower-case letters, digits, hyphens")
    subscriber.add_argument("--bind", action="append", help="routing key pattern (repeatable); crm.# unless given")
    arguments = parser.parse_args(argv)
    deployment = Deployment.find(home)
    try:
        return asyncio.run(_run(arguments, deployment))
    except (BrokerDown, BrokerRefused, topology.TopologyError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1


async def _run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    backends = deployment.backends
    if arguments.command == "apply":
        print(await broker.declare(SERVICES, deployment.password_of, backends))
        return 0
    if arguments.command == "check":
        missing = await topology.check([service.name for service in SERVICES], backends.amqp_url)
        print("\n".join(missing) or "everything is declared")
        return 1 if missing else 0
    if not backends.amqp_management_url:
        raise topology.TopologyError("making a user needs the broker's management API (AMQP_MANAGEMENT_URL)")
    for pattern in unheard(arguments.bind or []):
        # No error: the release that publishes it may still be to come.
        print(f"crm: no event has a type like '{pattern}'; docs/events.md lists them all", file=sys.stderr)
    made = await topology.subscribe(
        arguments.name,
        arguments.bind or ["crm.#"],
        backends.amqp_url,
        backends.amqp_management_url,
        password=deployment.password_of(f"ext.{arguments.name}"),
    )
    print(f"queue     {made.queue}\nAMQP URL  {made.amqp_url}")
    return 0


def unheard(patterns: Sequence[str]) -> list[str]:
    """The patterns that bind no event there is. Snapshots do not count: they come without a binding."""
    types = [words for event in all_events() if (words := event.type.split("."))[3] != "snapshot"]
    return [pattern for pattern in patterns if not any(_matches(pattern.split("."), words) for words in types)]


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """As a topic exchange does: `*` is one word, `#` any number of them."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])
