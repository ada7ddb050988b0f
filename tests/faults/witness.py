"""An independent listener on ``crm.events`` with its own AMQP client, which judges order and loss by the arrivals."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

import aio_pika
import orjson

from crm_kit.broker import declaring, names

QUEUE = "witness"


@dataclass
class Witnessed:
    """Every event in the order of its first delivery."""

    first: dict[UUID, tuple[UUID, int, str]] = field(default_factory=dict)
    """Event id to record, version and type."""
    deliveries: int = 0

    @property
    def repeated(self) -> int:
        """Repeated deliveries of events, which are allowed and harmless."""
        return self.deliveries - len(self.first)

    @property
    def violations(self) -> list[str]:
        """Records whose versions did not first arrive as 1, 2, 3, …"""
        seen: dict[UUID, list[int]] = defaultdict(list)
        for record, version, _ in self.first.values():
            seen[record].append(version)
        return [f"{record}: {order}" for record, order in seen.items() if order != list(range(1, len(order) + 1))]


async def call_witness(amqp_url: str) -> None:
    """Keep every event from now on for the witness."""
    await declaring.declare(
        amqp_url, [], [declaring.Queue(QUEUE, {"x-queue-type": "quorum"}, ((names.EVENTS, "crm.#"),))]
    )


async def hear_witness(amqp_url: str, expected: Collection[UUID], *, seconds: float = 30) -> Witnessed:
    """Return all events that arrived. Wait for the expected ones, but at most this long between two deliveries."""
    witnessed, missing = Witnessed(), set(expected)
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue(QUEUE, passive=True)
        left = queue.declaration_result.message_count or 0
        try:
            async with queue.iterator(timeout=seconds) as deliveries:
                async for delivery in deliveries:
                    envelope = orjson.loads(delivery.body)
                    event_id = UUID(envelope["id"])
                    assert delivery.message_id == envelope["id"]
                    witnessed.deliveries += 1
                    story = (UUID(envelope["subject"]), envelope["entityversion"], envelope["type"])
                    witnessed.first.setdefault(event_id, story)
                    missing.discard(event_id)
                    await delivery.ack()
                    left -= 1
                    if not missing and left <= 0:
                        break
        except TimeoutError:
            return witnessed
    return witnessed
