"""Sends a service's records, or its published events, to one queue."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import URN
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.management import TopologyError
from crm_kit.broker.messages import Outcome
from crm_kit.broker.names import direct_key, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events import replay
from crm_kit.events.relay import message_of
from crm_kit.operating.patterns import matches
from crm_kit.operating.stored import PAGE
from crm_kit.operators import operator_name
from crm_kit.store.record import new_id

LOOK_SECONDS = 0.2
"""Seconds between two looks at the progress of a snapshot."""


async def snapshot(conn: AsyncConnection, entities: Sequence[str], queue: str) -> UUID:
    """Request that this database's service sends its current records to a queue; returns the id of the request."""
    request = new_id()
    by = operator_name()
    await replay.request_snapshot(conn, id_=request, entities=entities, queue=queue, requested_by=by)
    await conn.exec_driver_sql("select pg_notify($1, '')", (replay.CHANNEL,))
    return request


_SENT = "select sent, error from snapshot_request where id = $1 and done_at is not null"


async def snapshot_sent(conn: AsyncConnection, request: UUID) -> tuple[int, str | None]:
    """Wait until the service has completed a request; returns the number of sent records and an error, if not all were sent.

    ``conn`` is in autocommit.
    """
    while True:
        row: Any = (await conn.exec_driver_sql(_SENT, (request,))).one_or_none()
        if row is not None:
            return row.sent, row.error
        await asyncio.sleep(LOOK_SECONDS)


_PUBLISHED = """
select seq, id, entity_id, entity_version, type, body, traceparent, epoch from outbox
where seq > $1 and state = 'published' and created_at >= $2 and created_at < $3 order by seq limit $4
"""


async def send_again(
    conn: AsyncConnection,
    publisher: Publisher,
    service: str,
    queue: str,
    patterns: Sequence[str],
    *,
    schemas: str = URN,
    since: datetime,
    until: datetime,
) -> int:
    """Send the events that a service published in a period and that match the patterns to one queue, with their original ids.

    Returns the number. ``schemas`` is the base of the `dataschema` of events that an earlier release stored. ``conn`` is in
    autocommit. Raises BrokerDown if an event is not confirmed.
    """
    sent, last = 0, 0
    while rows := (await conn.exec_driver_sql(_PUBLISHED, (last, since, until, PAGE))).mappings().all():
        last = rows[-1]["seq"]
        heard = [row for row in rows if any(matches(pattern, row["type"]) for pattern in patterns)]
        messages = [message_of(row, service, schemas, routing_key=direct_key(queue, row["type"])) for row in heard]
        outcomes = await publisher.publish(replay_of(service), messages, seconds=30)
        if Outcome.RETURNED in outcomes:
            raise TopologyError(f"queue {queue} does not hear what it is bound to: crm topology apply")
        if any(outcome is not Outcome.CONFIRMED for outcome in outcomes):
            raise BrokerDown(f"not all were confirmed; {sent} events were: start again")
        sent += len(messages)
    return sent
