"""Counts what the broker drops from queues of other systems, and measures what waits in them.

The broker sends what it drops to the queue ``crm.dropped``, and operators announce new queues there. This loop reads both. A
message whose acknowledgement is lost is counted twice.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from crm_identity.subscriber.model import SubscriberDrop, SubscriberQueue
from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.broker import declaring
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.consuming import Session, TopologyMissing
from crm_kit.broker.messages import Delivery
from crm_kit.broker.names import DROPPED, SUBSCRIBER_QUEUE
from crm_kit.process.runtime import Runtime
from crm_kit.signals.attention import ATTENTION
from crm_kit.signals.metrics import counter, gauge

log = structlog.get_logger(__name__)

AT_ONCE: Final = 20
"""Messages in memory. Each has its whole body, of up to 1 MiB."""
REASONS: Final = ("maxlen", "expired", "delivery_limit", "rejected")
"""Why the broker drops a message."""
MEASURE_SECONDS: Final = 29.0
"""Seconds between two measurements while somebody reads them."""
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0

COUNTED = counter(
    "crm.subscriber.dropped", "Messages that the broker dropped from a queue of another system.", "queue", "reason"
)
WAITING = gauge("crm.subscriber.waiting", "Messages that wait in a queue of another system.", "queue")


class Counting:
    """The loop, until it is stopped."""

    def __init__(self, runtime: Runtime) -> None:
        self._db, self._url = runtime.db, runtime.settings.amqp_url
        self._stopping = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Return from ``run``."""
        self._stopping.set()
        if self._working is not None:
            self._working.cancel()

    async def run(self) -> None:
        """Count and measure until stopped. It waits while the broker or the database is unavailable."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._stopping.is_set():
            self._working = asyncio.create_task(self._work())
            try:
                await self._working
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    self._working.cancel()
                    raise
                return
            except (BrokerDown, TopologyMissing, OSError, SQLAlchemyError) as error:
                log.warning("subscribers.uncounted", error=str(error))
            await backoff.wait(self._stopping)

    async def _work(self) -> None:
        async with self._db.autocommit() as conn:
            _expect((await conn.execute(select(SubscriberQueue.queue))).scalars())
        measuring = asyncio.create_task(self._measure())
        try:
            async with Session(self._url, DROPPED, name="identity drops", prefetch=AT_ONCE) as session:
                while True:
                    deliveries = await session.batch(AT_ONCE, linger=0.2)
                    await self.count(deliveries)
                    await session.ack(deliveries[-1].tag)
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)

    async def count(self, deliveries: Sequence[Delivery]) -> None:
        """Store announced queues, and add dropped messages up."""
        named = {one.headers.get("queue") for one in deliveries if one.type == SUBSCRIBER_QUEUE}
        announced = sorted(queue[:100] for queue in named if isinstance(queue, str) and queue.startswith("ext."))
        causes = (_cause(one.headers) for one in deliveries if one.type != SUBSCRIBER_QUEUE)
        dropped = Counter(cause for cause in causes if cause is not None)
        now = clock.now()
        async with self._db.begin() as conn:
            for queue in announced:
                known = insert(SubscriberQueue).values(queue=queue, announced_at=now)
                await conn.execute(known.on_conflict_do_nothing())
            for cause in sorted(dropped):
                row = {"queue": cause[0], "reason": cause[1], "messages": dropped[cause], "last_at": now}
                added = insert(SubscriberDrop).values(row)
                total = {"messages": SubscriberDrop.messages + dropped[cause], "last_at": now}
                await conn.execute(added.on_conflict_do_update(index_elements=["queue", "reason"], set_=total))
        _expect(announced)
        for cause, messages in dropped.items():
            COUNTED.labels(*cause).inc(messages)

    async def _measure(self) -> None:
        while True:
            await ATTENTION.pause(MEASURE_SECONDS, unread=None)
            try:
                await self.measure()
            except (BrokerDown, OSError, SQLAlchemyError) as error:
                log.warning("subscribers.unmeasured", error=str(error))

    async def measure(self) -> None:
        """Measure what waits in the announced queues, and forget those that were deleted. Raises BrokerDown."""
        async with self._db.begin() as conn:
            queues = list((await conn.execute(select(SubscriberQueue.queue))).scalars())
            if not queues:
                return
            absent = set(await declaring.missing(self._url, [], queues))
            gone = [queue for queue in queues if f"queue {queue}" in absent]
            await conn.execute(delete(SubscriberQueue).where(SubscriberQueue.queue.in_(gone)))
        for queue, waiting in (await declaring.depths(self._url, [one for one in queues if one not in gone])).items():
            WAITING.labels(queue).set(waiting)
        for queue in gone:
            WAITING.labels(queue).set(0)


def _expect(queues: Iterable[str]) -> None:
    """Show counters that are 0, so that an alert sees the first increase."""
    for queue in queues:
        for reason in REASONS:
            COUNTED.labels(queue, reason)


def _cause(headers: dict[str, Any]) -> tuple[str, str] | None:
    """Return the queue that a dead letter was dropped from, and the reason, as the broker wrote them."""
    queue, reason = headers.get("x-first-death-queue"), headers.get("x-first-death-reason")
    if not (isinstance(queue, str) and isinstance(reason, str) and queue.startswith("ext.")):
        return None
    return queue[:100], reason[:30]
