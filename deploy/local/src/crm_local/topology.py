"""`crm topology`: declare and check the suite's objects at the broker, and list its queues."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import Management, TopologyError, vhost_of
from crm_kit.operating import topology
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
    parser = argparse.ArgumentParser(prog="crm topology", description="Queues and exchanges at the broker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("apply", help="declare what is missing; safe to repeat")
    commands.add_parser("check", help="list what is missing")
    commands.add_parser("queues", help="list the queues with their messages, bindings and consumers")
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
        case _:
            print("\n".join(await _queues(backends)))
            return 0


def management_of(backends: Backends) -> str:
    """Return the URL of the management API. Raises TopologyError if there is none."""
    if not backends.amqp_management_url:
        raise TopologyError("this needs the broker's management API (AMQP_MANAGEMENT_URL)")
    return backends.amqp_management_url


async def _queues(backends: Backends) -> list[str]:
    """Return a line for each queue, those with most messages first."""
    async with Management(management_of(backends)) as management:
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
