"""Publishes the outbox to the broker, at least once and in order per record.

Any number of relays may run. Each locks the rows of *shards* that have pending events. If relays locked the rows of events, two
of them could publish neighbouring versions of one record in any order. A relay takes up to half of the shards at once: the
number hardly affects the cost of a round, and another relay finds the other half.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import URN, with_absolute_schema
from crm_kit import clock, failpoints
from crm_kit.backoff import Backoff
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.messages import UNSURE, Outcome, Outgoing, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.clock import monotonic
from crm_kit.network.postgres import told
from crm_kit.signals.metrics import counter, gauge, histogram
from crm_kit.signals.telemetry import SpanKind, event_spans
from crm_kit.store.database import Database, fetch
from crm_kit.store.notify import Notifier
from crm_kit.store.pace import RARELY, Pace
from crm_kit.work.outbox import SENT, SHARDS, WAKE_CHANNEL, stamped

log = structlog.get_logger(__name__)

SHARDS_AT_ONCE = SHARDS // 2
BATCH = 50
"""The most rows of one shard in one round."""
POLL_SECONDS = 0.2
HELD_SECONDS = 1.0
"""Between looks for events in back-off whose time has come."""
ROUND_SECONDS = 0.025
"""Seconds from one round to the next under load, because a round costs about the same for one event as for ten. Events after a
pause do not wait, nor do events that did not fit into a round."""
MOST_AT_ONCE = SHARDS_AT_ONCE * BATCH
CONFIRM_SECONDS, CONFIRM_ONE_SECONDS = 5.0, 10.0
"""Seconds to wait for confirms. The second applies to a single event, because that piece cannot be made smaller."""
SLOW_SECONDS = 1.0
"""If confirms take longer than this, the next piece is smaller. If they take less than half of it, the next piece is larger."""
LONGEST_BACKOFF = timedelta(minutes=10)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

PUBLISH = histogram("crm.relay.publish", "Time from sending a batch to its last confirm.")
BATCH_SIZE = histogram(
    "crm.relay.batch", "Events published in one batch.", unit="", buckets=(1, 5, 10, 25, 50, 100, 200, MOST_AT_ONCE)
)
PUBLISHED = counter("crm.relay.published", "Events confirmed by the broker.")
PIECE = gauge(
    "crm.relay.piece",
    f"Events sent before the relay waits for their confirms: at most {MOST_AT_ONCE}, fewer while confirms are slow.",
)
RETURNED = counter("crm.relay.returned", "Events that the broker returned or refused.")
REPUBLISHED = counter("crm.relay.republished", "Events that will be sent again because no confirm arrived.")

# The pool's connections carry idle_in_transaction_session_timeout = 15 s, which frees the shard of a frozen relay.
_CLAIM = """
select s.shard from outbox_shard s
where exists (select 1 from outbox o where o.shard = s.shard and o.state = 'pending'
  and (o.next_attempt_at is null or o.next_attempt_at <= $1))
order by (s.shard + $2) % $4 limit $3 for update skip locked
"""
# With an order, because otherwise PostgreSQL reads more of a partitioned table than it needs.
_ANY = "select true from outbox where state = 'pending' order by shard, seq limit 1"
_READ = """
select o.* from unnest($1::smallint[]) s (shard) cross join lateral (
  select o.seq, o.id, o.entity_id, o.entity_version, o.type, o.body, o.traceparent, o.attempts, o.epoch from outbox o
  where o.shard = s.shard and o.state = 'pending' and not exists (
    select 1 from outbox held where held.shard = s.shard and held.state = 'pending' and held.next_attempt_at > $2
    and held.entity_id = o.entity_id and held.seq <= o.seq)
  order by o.seq limit $3
) o order by o.seq
"""
_MARK = """
update outbox set state = 'published', published_at = $2, next_attempt_at = null, last_error = null
where seq = any($1) and state = 'pending'
"""
_HOLD = """
update outbox set attempts = attempts + 1, next_attempt_at = held.at, last_error = held.error
from unnest($1::bigint[], $2::timestamptz[], $3::text[]) as held(seq, at, error)
where outbox.seq = held.seq and outbox.state = 'pending'
"""
# If one event of a record has a number that is taken, all pending events of the record get new numbers, which keeps their order.
_NUMBERED_TWICE = f"""
select seq from outbox where state = 'pending' and entity_id in (
  select o.entity_id from outbox o where o.state = 'pending' and exists (select from {SENT.parent} s where s.seq = o.seq))
order by seq
"""
_LOCK_SHARDS = "select from outbox_shard order by shard for update"
_CATCH_UP = """
select setval(own, greatest((select max(seq) from outbox), nextval(own)))
from (select pg_get_serial_sequence('outbox', 'seq')::regclass as own) sequence
"""
_RENUMBER = "update outbox set seq = default where state = 'pending' and seq = $1"


def message_of(row: Any, service: str, schemas: str, *, routing_key: str | None = None) -> Outgoing:
    """Return the message of an outbox row. Its routing key is its type unless ``routing_key`` is given.

    ``schemas`` is the base of the `dataschema` of an event that an earlier release stored.
    """
    headers: dict[str, Any] = {
        "id": str(row["id"]),
        "type": row["type"],
        "source": f"/crm/{service}",
        "subject": str(row["entity_id"]),
        "crm-version": row["entity_version"],
        "crm-seq": row["seq"],
    }
    if row["traceparent"]:
        headers["traceparent"] = row["traceparent"]
    if row["epoch"]:
        headers["crm-epoch"] = row["epoch"]
    body = stamped(with_absolute_schema(row["body"], schemas), row["epoch"])
    return outgoing(body, routing_key or row["type"], message_id=headers["id"], headers=headers)


class Relay:
    """Publishes one service's outbox until it is stopped."""

    def __init__(
        self, service: str, db: Database, publisher: Publisher, notifier: Notifier | None = None, schemas: str = URN
    ) -> None:
        self._service, self._schemas = service, schemas
        self._db, self._publisher = db, publisher
        self._pace = Pace(notifier, WAKE_CHANNEL, POLL_SECONDS)
        self._turn = 0
        self._piece = MOST_AT_ONCE
        self._more = False
        self._stopping = False
        PIECE.set(self._piece)

    def stop(self) -> None:
        """Return from ``run`` after the current batch."""
        self._stopping = True
        self._pace.wake()

    async def run(self) -> None:
        """Publish until stopped. It waits while the broker or the database is unavailable, without counting attempts."""
        backoff, woken, loop = Backoff(FIRST_PAUSE, LONGEST_PAUSE), True, asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            try:
                pending = woken or self._more or await self._any_pending()
                published = await self.drain() if pending else 0
            except IntegrityError as error:
                await self._after_refusal(error)
                await backoff.wait()
                continue
            except (BrokerDown, OSError, SQLAlchemyError) as error:
                log.warning("relay.waiting", error=str(error) if isinstance(error, BrokerDown) else told(error))
                await backoff.wait()
                continue
            backoff.reset()
            if not self._more:
                if published:
                    await asyncio.sleep(max(0.0, began + ROUND_SECONDS - loop.time()))
                at_most = HELD_SECONDS if pending else RARELY
                woken = await self._pace.rest(found=published > 0, at_most=at_most)

    async def _after_refusal(self, error: IntegrityError) -> None:
        """Find out why the database refused to mark events. If the sequence went back, renumber events with used numbers."""
        try:
            renumbered = await self.renumber()
        except (OSError, SQLAlchemyError) as again:
            log.warning("relay.waiting", error=type(again).__name__)
            return
        if renumbered:
            log.error(
                "relay.renumbered",
                events=renumbered,
                reason="the sequence of the outbox went back; events were given numbers that others have",
            )
        else:
            log.error("relay.refused", error=type(error.orig).__name__)

    async def renumber(self) -> int:
        """Give new numbers to pending events whose numbers published events have, and to all other pending events of their
        records. Returns the number of renumbered events.

        A sequence goes back if a database is a copy of another (``create database … template``) and its server crashes soon
        afterwards. PostgreSQL has logged the numbers that it draws in advance only for the original.
        """
        async with self._db.begin() as conn:
            await conn.exec_driver_sql(_LOCK_SHARDS)
            taken = list((await conn.exec_driver_sql(_NUMBERED_TWICE)).scalars())
            if taken:
                await conn.exec_driver_sql(_CATCH_UP)
            for seq in taken:
                await conn.exec_driver_sql(_RENUMBER, (seq,))
        return len(taken)

    async def _any_pending(self) -> bool:
        """A look that needs no transaction, because there is nearly always nothing."""
        async with self._db.autocommit() as conn:
            return bool(await fetch(conn, _ANY))

    async def drain(self) -> int:
        """Publish a batch of each shard that could be locked; returns the number of rows. Raises BrokerDown."""
        self._more = False
        await self._publisher.ready()
        self._turn += 1
        most_shards = min(self._piece, SHARDS_AT_ONCE)
        most_rows = self._piece // most_shards
        async with self._db.begin() as conn:
            claimed = await conn.exec_driver_sql(_CLAIM, (clock.now(), self._turn, most_shards, SHARDS))
            shards = list(claimed.scalars())
            if not shards:
                return 0
            # A second statement, whose snapshot is taken after the lock. It therefore sees the marks of the previous relay.
            rows = await fetch(conn, _READ, (shards, clock.now(), most_rows))
            if not rows:
                return 0
            told = ((row["traceparent"], str(row["id"]), row["type"]) for row in rows)
            began = monotonic()
            BATCH_SIZE.observe(len(rows))
            with PUBLISH.time(), event_spans("publish", SpanKind.PRODUCER, told) as traced:
                patience = CONFIRM_SECONDS if len(rows) > 1 else CONFIRM_ONE_SECONDS
                outcomes = await self._publisher.publish(
                    EVENTS, [message_of(row, self._service, self._schemas) for row in rows], seconds=patience
                )
                if any(outcome is not Outcome.CONFIRMED for outcome in outcomes):
                    traced.failed("not all were confirmed")
            self._size_up(outcomes, monotonic() - began)
            failpoints.hit("relay.after_publish")
            await self._mark(conn, rows, outcomes)
        failpoints.hit("relay.after_mark")
        unsure = sum(outcome in UNSURE for outcome in outcomes)
        if unsure:
            REPUBLISHED.inc(unsure)
        if Outcome.UNKNOWN in outcomes:
            raise BrokerDown(f"{unsure} of {len(rows)} events were not confirmed; they will be sent again")
        self._more = len(shards) == most_shards or len(rows) >= most_rows
        return len(rows)

    def _size_up(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Choose the size of the next piece. Events without a confirm in time are sent again, so a slow broker would never
        finish pieces of the same size."""
        before, sent = self._piece, len(outcomes)
        if Outcome.CLOSED in outcomes:
            self._piece = 1  # until the event that the broker does not accept is sent alone, and held
        elif Outcome.UNKNOWN in outcomes:
            self._piece = max(1, min(before, sent) // 4)
        elif seconds > SLOW_SECONDS:
            self._piece = max(1, min(before, sent) // 2)
        elif seconds < SLOW_SECONDS / 2:
            self._piece = min(MOST_AT_ONCE, before * 2)
        PIECE.set(self._piece)
        if self._piece < before:
            log.warning(
                "relay.slow",
                events=sent,
                confirmed=outcomes.count(Outcome.CONFIRMED),
                seconds=round(seconds, 1),
                next_piece=self._piece,
                remedy="crm topology queues shows which queue is behind",
            )

    async def _mark(self, conn: AsyncConnection, rows: Sequence[Any], outcomes: Sequence[Outcome]) -> None:
        """Mark the rows of each record up to its first failure. Later rows are sent again, after the failed one."""
        stopped: set[UUID] = set()
        published: list[int] = []
        held: list[tuple[int, datetime, str]] = []
        now = clock.now()
        for row, outcome in zip(rows, outcomes, strict=True):
            if row["entity_id"] in stopped:
                continue
            if outcome is Outcome.CONFIRMED:
                published.append(row["seq"])
                continue
            stopped.add(row["entity_id"])
            if outcome not in UNSURE:
                wait = min(timedelta(seconds=2 ** min(row["attempts"], 10)), LONGEST_BACKOFF)
                held.append((row["seq"], now + wait, outcome.value))
        if published:
            await conn.exec_driver_sql(_MARK, (published, now))
            PUBLISHED.inc(len(published))
        if held:
            await conn.exec_driver_sql(_HOLD, tuple(list(column) for column in zip(*held, strict=True)))
            RETURNED.inc(len(held))
            log.error("relay.held", events=len(held), first_seq=held[0][0], reason=held[0][2])
