"""Another system with its own user and queue at the broker, created as docs/subscribing.md describes."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import aio_pika

from tests.integration.suite import Suite


class Listener:
    """A plain AMQP client that receives all events."""

    def __init__(self, queue: aio_pika.abc.AbstractQueue, connection: aio_pika.abc.AbstractConnection) -> None:
        self._queue, self._connection = queue, connection

    @classmethod
    async def start(cls, suite: Suite, name: str) -> "Listener":
        printed = await asyncio.to_thread(suite.crm, "subscribers", "add", name, "--bind", "crm.#", "--everything")
        url = printed.rpartition("AMQP URL")[2].strip()
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        return cls(await channel.get_queue(f"ext.{name}.events"), connection)

    async def hears(self, wanted: Mapping[str, int]) -> dict[str, list[tuple[str, int]]]:
        """Return (fact, version) of these records in the order of arrival, once the wanted versions have arrived.

        Closes the client.
        """
        seen: set[str] = set()
        heard: dict[str, list[tuple[str, int]]] = defaultdict(list)
        async with asyncio.timeout(120), self._queue.iterator() as messages:
            async for message in messages:
                event: dict[str, Any] = json.loads(message.body)
                assert message.content_type == "application/cloudevents+json"
                assert (event["specversion"], event["id"]) == ("1.0", message.message_id)
                await message.ack()
                if event["id"] not in seen and event["subject"] in wanted:
                    seen.add(event["id"])
                    heard[event["subject"]].append((event["type"].split(".")[3], event["entityversion"]))
                if all(len(heard[record]) >= version for record, version in wanted.items()):
                    break
        await self._connection.close()
        return dict(heard)
