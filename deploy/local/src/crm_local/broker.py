"""The suite's vhost: its users, what is declared in it, and `crm topology`."""

import argparse
import asyncio
import hashlib
import hmac
import sys
from collections.abc import Sequence
from urllib.parse import quote, urlsplit, urlunsplit

from crm_kit import topology
from crm_kit.bus import BrokerDown, BrokerRefused
from crm_local import entrypoints
from crm_local.state import Home
from crm_local.suite import SERVICES, Backends, Service


def password(secret: str, service: str) -> str:
    """The password of a service's broker user: derived, so that a repeated `apply` changes nothing."""
    return hmac.new(secret.encode(), f"amqp:{service}".encode(), hashlib.sha256).hexdigest()


def service_url(service: Service, secret: str, backends: Backends) -> str:
    """The broker as the service may use it: as a user of its own, where there is a management API to make one."""
    if not backends.amqp_management_url:
        return backends.amqp_url
    parts = urlsplit(backends.amqp_url)
    user = quote(topology.user_of(service.name, backends.amqp_url), safe="")
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password(secret, service.name)}@{place}"))


async def declare(services: Sequence[Service], secret: str, backends: Backends) -> topology.Report:
    """Declare everything for these services; safe to repeat. Raises BrokerDown, TopologyError or BrokerRefused."""
    return await topology.apply(
        {service.name: entrypoints.routing_keys(service) for service in services},
        backends.amqp_url,
        backends.amqp_management_url or None,
        password_of=lambda service: password(secret, service),
    )


def main(argv: Sequence[str], home: Home) -> int:
    """`crm topology apply|check|subscribe` for the suite of this home; returns the exit code."""
    parser = argparse.ArgumentParser(prog="crm topology", description="What the suite needs at the broker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("apply", help="declare what is missing; safe to repeat")
    commands.add_parser("check", help="say what is missing")
    subscriber = commands.add_parser("subscribe", help="a user and a queue for another system")
    subscriber.add_argument("name", help="of the subscriber: lower-case letters, digits, hyphens")
    subscriber.add_argument("--bind", action="append", help="routing key pattern (repeatable); crm.# unless given")
    arguments = parser.parse_args(argv)
    state = home.state()
    if state is None:
        print(f"crm: no suite runs from {home.path}", file=sys.stderr)
        return 1
    backends = Backends(state.database_url, state.amqp_url, state.amqp_management_url)
    try:
        return asyncio.run(_run(arguments, home.kept().secret, backends))
    except (BrokerDown, BrokerRefused, topology.TopologyError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1


async def _run(arguments: argparse.Namespace, secret: str, backends: Backends) -> int:
    if arguments.command == "apply":
        print(await declare(SERVICES, secret, backends))
        return 0
    if arguments.command == "check":
        missing = await topology.check([service.name for service in SERVICES], backends.amqp_url)
        print("\n".join(missing) or "everything is declared")
        return 1 if missing else 0
    if not backends.amqp_management_url:
        raise topology.TopologyError("making a user needs the broker's management API (AMQP_MANAGEMENT_URL)")
    made = await topology.subscribe(
        arguments.name,
        arguments.bind or ["crm.#"],
        backends.amqp_url,
        backends.amqp_management_url,
        password=password(secret, f"ext.{arguments.name}"),
    )
    print(f"queue     {made.queue}\nAMQP URL  {made.amqp_url}")
    return 0
