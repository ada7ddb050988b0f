"""The relay's ceiling: aio-pika alone, publishing persistent messages with batched confirms.

`python -m bench.ceilings.amqp AMQP_URL [COUNT]` prints messages per second.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange

from bench.data import lead_body, people
from bench.report import Sample

BATCH = 200
CONFIRM_SECONDS = 10
ROUTING_KEY = "crm.sales.lead.created.v1"


@asynccontextmanager
async def topology(channel: AbstractChannel) -> AsyncIterator[AbstractExchange]:
    """Declare an exchange with a quorum inbox and a stream log, as in the suite. They are deleted at the end."""
    name = f"bench.{uuid4().hex[:8]}"
    exchange = await channel.declare_exchange(f"{name}.events", "topic", durable=True)
    inbox = await channel.declare_queue(
        f"{name}.inbox",
        durable=True,
        arguments={"x-queue-type": "quorum", "x-delivery-limit": 20, "x-overflow": "reject-publish"},
    )
    log = await channel.declare_queue(
        f"{name}.log",
        durable=True,
        arguments={"x-queue-type": "stream", "x-max-age": "30D", "x-max-length-bytes": 20_000_000_000},
    )
    try:
        for queue in (inbox, log):
            await queue.bind(exchange, "crm.#")
        yield exchange
    finally:
        await inbox.delete(if_unused=False, if_empty=False)
        await log.delete(if_unused=False, if_empty=False)
        await exchange.delete()


async def publish(exchange: AbstractExchange, routing_key: str, body: bytes, count: int) -> float:
    """Publish `count` mandatory persistent messages with at most 200 unconfirmed. Return messages per second.

    Raises if a message is returned, refused, or not confirmed within 10 s.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    for first in range(0, count, BATCH):
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(
                        body,
                        content_type="application/cloudevents+json",
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        message_id=str(first + n),
                    ),
                    routing_key,
                    mandatory=True,
                    timeout=CONFIRM_SECONDS,
                )
                for n in range(min(BATCH, count - first))
            )
        )
    return count / (clock() - started)


def side(amqp_url: str, count: int) -> Callable[[], Coroutine[None, None, Sample]]:
    """Run once with a separate connection and topology, and messages of a lead's size."""

    async def once() -> Sample:
        # A lead event contains the record once, and its envelope: about twice the body of the request.
        body = (lead_body(next(people(1))) * 2).encode()
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            async with topology(channel) as exchange:
                return Sample(await publish(exchange, ROUTING_KEY, body, count))

    return once


if __name__ == "__main__":
    url, *rest = sys.argv[1:]
    print(f"{asyncio.run(side(url, int(rest[0]) if rest else 20_000)()).value:,.0f} messages/s")
