"""The events of a unit of work."""

from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.testing.databases import PRISTINE
from crm_kit.work.uow import UnitOfWork


def emitted(uow: UnitOfWork) -> list[str]:
    """Return the types of the events that the next flush writes, in order."""
    return uow.pending_types


async def announced(source: UnitOfWork | AsyncConnection) -> list[dict[str, Any]]:
    """Return the CloudEvents in the outbox, in order and without those of the seed.

    From a connection these are the committed ones. From a unit of work they include its own, after ``uow.flush()``.
    """
    conn = await source.connection() if isinstance(source, UnitOfWork) else source
    rows = await conn.exec_driver_sql(
        f"select body from outbox where id not in (select id from {PRISTINE}.outbox) order by seq"
    )
    return [orjson.loads(row[0]) for row in rows]
