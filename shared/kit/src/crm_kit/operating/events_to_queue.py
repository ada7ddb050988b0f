"""``crm events snapshot`` and ``replay``: send a service's records, or its published events, to one queue."""

import argparse
import sys
from dataclasses import dataclass

from crm_contracts.catalogue import event_for, events_of
from crm_kit import clock
from crm_kit.broker.management import TopologyError
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.environment import read
from crm_kit.configuration.public_address import PublicAddress
from crm_kit.operating import sending
from crm_kit.operating.patterns import matches
from crm_kit.operating.subscribers import patterns_of
from crm_kit.store.database import Database


class NoPeriod(Exception):
    """The period is empty or in the future."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The operator's URLs of the broker. ``management_url`` is empty if there is no management API."""

    amqp_url: str
    management_url: str

    async def patterns_of(self, queue: str) -> list[str]:
        """Return the patterns by which a queue is bound to events. Raises TopologyError."""
        if not self.management_url:
            raise TopologyError(
                "Set AMQP_MANAGEMENT_URL: only the broker's management API knows the bindings of a queue"
            )
        return await patterns_of(queue, self.amqp_url, self.management_url)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


async def replay(arguments: argparse.Namespace, url: str, broker: Broker) -> int:
    """Send the events of a period to a queue again; returns the exit code. Raises NoPeriod, TopologyError and BrokerDown."""
    now = clock.now()
    until = arguments.until or now
    if arguments.since > now:
        raise NoPeriod(
            f"--since {arguments.since:%Y-%m-%dT%H:%M:%SZ} is in the future: it is {now:%Y-%m-%dT%H:%M:%SZ} now"
        )
    if until <= arguments.since:
        raise NoPeriod("--until is not after --since: nothing was published between them")
    patterns = await broker.patterns_of(arguments.queue)
    publisher = Publisher(broker.amqp_url, name="crm events replay")
    database = Database(url, pool_size=1, application_name="crm events")
    try:
        async with database.autocommit() as conn:
            count = await sending.send_again(
                conn,
                publisher,
                arguments.service,
                arguments.queue,
                patterns,
                since=arguments.since,
                until=until,
                schemas=read(PublicAddress).schemas,
            )
    finally:
        await publisher.close()
        await database.dispose()
    say(f"sent {count} events")
    return 0


async def _askable(service: str, types: str, queue: str, broker: Broker | None) -> list[str]:
    """Return the entities of a snapshot. Raises TopologyError unless all of them can be sent.

    They are checked in advance, because a refusal later would leave the snapshot incomplete.
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


async def snapshot(arguments: argparse.Namespace, url: str, broker: Broker | None) -> int:
    """Request the current records of entities, and wait until they are sent; returns the exit code. Raises TopologyError."""
    entities = await _askable(arguments.service, arguments.types, arguments.queue, broker)
    database = Database(url, pool_size=1, application_name="crm events")
    try:
        async with database.begin() as conn:
            request = await sending.snapshot(conn, entities, arguments.queue)
        say(f"requested {request}")
        if arguments.no_wait:
            return 0
        async with database.autocommit() as conn:
            count, error = await sending.snapshot_sent(conn, request)
    finally:
        await database.dispose()
    say(f"sent {count} records")
    if error is not None:
        sys.stderr.write(f"{error}\n")
    return 0 if error is None else 1
