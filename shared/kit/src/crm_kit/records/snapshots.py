"""Reads a service's own records for a snapshot, in pages by id and with the present names of their references."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events.replay import Row, Source, Sources
from crm_kit.process.runtime import Runtime
from crm_kit.store.presenter import presenter_of
from crm_kit.store.record import Record, stored_columns
from crm_kit.work.uow import UnitOfWork


def snapshot_sources(runtime: Runtime, entities: Sequence[type[Record]]) -> Sources:
    """Return a source for each of these entities, by name."""
    return {entity.entity(): _source(runtime, entity) for entity in entities}


def _source(runtime: Runtime, entity: type[Record]) -> Source:
    columns = [entity.__table__.c[name] for name in stored_columns(entity)]
    key = entity.__table__.c.id

    async def page(conn: AsyncConnection, after: UUID | None, limit: int) -> Sequence[Row]:
        statement = select(*columns).order_by(key).limit(limit)
        rows = [
            dict(row)
            for row in (await conn.execute(statement if after is None else statement.where(key > after))).mappings()
        ]
        uow = UnitOfWork.for_timer(conn, runtime)
        await uow.names.learn(entity, rows)
        presenter = presenter_of(entity)
        return [
            Row(
                row["id"],
                row["version"],
                row.get("owner_id"),
                row.get("business_unit_id"),
                presenter.record(row, uow.names),
                # A new follower must know the survivor of a merged record, as those do that got the event of the merge.
                {"survivor_id": row["survivor_id"]} if row.get("survivor_id") else {},
            )
            for row in rows
        ]

    return page
