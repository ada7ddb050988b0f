"""What a unit of work told the others."""

from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.testing.databases import PRISTINE
from crm_kit.work.uow import UnitOfWork


def emitted(uow: UnitOfWork) -> list[str]:
    """The types of the events that wait for the flush, in order."""
    return uow.pending_types


async def announced(source: UnitOfWork | AsyncConnection) -> list[dict[str, Any]]:
    """The CloudEvents in the outbox but those of the seed, in order, as the connection sees them: a unit of work's own
    after ``uow.flush()``, committed ones otherwise."""
    conn = await source.connection() if isinstance(source, UnitOfWork) else source
    rows = await conn.exec_driver_sql(
        f"select body from outbox where id not in (select id from {PRISTINE}.outbox) order by seq"
    )
    return [orjson.loads(row[0]) for row in rows]
