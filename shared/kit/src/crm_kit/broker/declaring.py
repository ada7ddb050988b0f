"""Exchanges, queues and bindings: declared, checked and counted."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from crm_kit.broker.connecting import connect, disconnect, open_channel, speaking
from crm_kit.network.amqp_urls import CONNECT_SECONDS


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue to declare, with its bindings (exchange, routing key)."""

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange to declare."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A binding that forwards all messages of one exchange to another."""

    source: str
    destination: str


async def declare(
    url: str,
    exchanges: Sequence[Exchange],
    queues: Sequence[Queue],
    passages: Sequence[Passage] = (),
    retired: Sequence[str] = (),
) -> None:
    """Declare everything, and delete the retired exchanges. It may be repeated.

    Raises BrokerDown, or AMQPError if something exists with other arguments.
    """
    connection = await connect(url, "topology")
    try:
        channel = await connection.channel(publisher_confirms=False)
        for exchange in exchanges:
            await channel.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True)
        for name in retired:
            await channel.exchange_delete(name)
        for passage in passages:
            await channel.exchange_bind(passage.destination, passage.source)
        for queue in queues:
            await channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
            for source, key in queue.bindings:
                await channel.queue_bind(queue.name, source, key)
    finally:
        await disconnect(connection)


async def missing(url: str, exchanges: Sequence[str], queues: Sequence[str]) -> list[str]:
    """Return the exchanges and queues that do not exist, checked by passive declaration. Raises BrokerDown."""
    connection = await connect(url, "topology check")
    absent: list[str] = []
    try:
        with speaking("check the topology"):
            async with asyncio.timeout(3 * CONNECT_SECONDS):
                for name in exchanges:
                    if not await _exists(connection, name, is_exchange=True):
                        absent.append(f"exchange {name}")
                for name in queues:
                    if not await _exists(connection, name, is_exchange=False):
                        absent.append(f"queue {name}")
    finally:
        await disconnect(connection)
    return absent


async def depths(url: str, queues: Sequence[str]) -> dict[str, int]:
    """Return the number of ready messages in each of these queues, without unacknowledged ones. Raises BrokerDown.

    The management API reports nothing or 0 for a queue that its node has just recovered, so this does not use it.
    """
    connection = await connect(url, "queue depths")
    found: dict[str, int] = {}
    try:
        with speaking("ask for the depth of queues"):
            async with asyncio.timeout(3 * CONNECT_SECONDS):
                channel = await open_channel(connection, publisher_confirms=False)
                for name in queues:
                    declared = await channel.queue_declare(name, passive=True)
                    found[name] = declared.message_count or 0
    finally:
        await disconnect(connection)
    return found


async def _exists(connection: AbstractConnection, name: str, *, is_exchange: bool) -> bool:
    channel = await open_channel(connection, publisher_confirms=False)  # a failed check closes its channel
    try:
        if is_exchange:
            await channel.exchange_declare(name, passive=True)
        else:
            await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
