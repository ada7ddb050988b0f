"""What the broker drops from another system's queue is counted, with the reason; what waits there is measured."""

import asyncio
from typing import Any

from crm_contracts.examples import example
from crm_contracts.sales.lead import LeadCreated
from crm_identity.subscriber.counting import WAITING, Counting
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.operating import subscribers, topology
from crm_kit.operating.subscribers import At
from crm_kit.process.runtime import Runtime
from crm_kit.store.presenter import to_json
from crm_kit.store.record import new_id
from crm_kit.testing.rabbit import Rabbit

PATIENCE_SECONDS = 240


async def rows(runtime: Runtime, sql: str) -> list[tuple[Any, ...]]:
    async with runtime.db.autocommit() as conn:
        return [tuple(row) for row in await conn.exec_driver_sql(sql)]


async def test_dropped_messages_are_counted_and_waiting_ones_measured(runtime: Runtime, rabbit: Rabbit) -> None:
    at = At(rabbit.amqp_url, rabbit.management_url)
    caps = topology.Caps(log_bytes=100_000_000, subscribers={**subscribers.CAPS, "max-length": 2})
    await topology.apply({}, rabbit.amqp_url, rabbit.management_url, caps=caps)
    made = await subscribers.add("slow", ["crm.sales.lead.#"], at)
    runtime.settings = runtime.settings.model_copy(update={"amqp_url": rabbit.amqp_url})
    counting = Counting(runtime)
    running = asyncio.create_task(counting.run())
    publisher = Publisher(rabbit.amqp_url, name="events")
    dropped = "select queue, reason, messages from subscriber_drop"
    body = to_json(example(LeadCreated))
    try:
        for _ in range(7):
            message = outgoing(body, LeadCreated.type, message_id=str(new_id()), headers={})
            assert await publisher.publish(EVENTS, [message], seconds=60) == [Outcome.CONFIRMED]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (made.queue, "maxlen", 5) not in await rows(runtime, dropped):  # noqa: ASYNC110  # the loop tells nobody
                await asyncio.sleep(0.05)
        # Other tests may have left queues of theirs on this broker.
        assert (made.queue,) in await rows(runtime, "select queue from subscriber_queue")
        await counting.measure()
        assert WAITING.labels(made.queue).value == 2
        await subscribers.remove("slow", at)
        await counting.measure()
        assert WAITING.labels(made.queue).value == 0
        assert (made.queue,) not in await rows(runtime, "select queue from subscriber_queue")
    finally:
        counting.stop()
        await running
        await publisher.close()
