"""A service from the view of an operator: its database, the records that it publishes, and its handler groups."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Entity
from crm_contracts.envelope import source_of
from crm_kit.configuration.settings import Settings
from crm_kit.events.consumers import Consumers
from crm_kit.events.ordering import Place
from crm_kit.events.replay import Sources
from crm_kit.process.runtime import Runtime, Service, build_runtime
from crm_kit.records.snapshots import snapshot_sources

SMALLEST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Party:
    """A service, and the operator's URL of its database."""

    service: Service
    consumers: Consumers
    url: str = field(repr=False)

    @property
    def source(self) -> str:
        """The source of its events."""
        return source_of(self.service.name)

    def settings(self) -> Settings:
        """Return the settings of the service, as far as this process needs them."""
        told = {
            "CRM_SERVICE": self.service.name,
            "CRM_ROLE": "worker",
            "CRM_SECRET": "",
            "DATABASE_URL": self.url,
            # Otherwise these would come from the environment, which has the operator's URLs.
            "DATABASE_DIRECT_URL": "",
            "AMQP_URL": "",
            "AMQP_MANAGEMENT_URL": "",
        }
        return Settings.model_validate(told)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Runtime]:
        """Yield a runtime for the service's handlers and presenters, without the loops of a process."""
        runtime = build_runtime(self.service, self.settings())
        try:
            yield runtime
        finally:
            await runtime.db.dispose()


class Publisher:
    """The records of some entities in a service's own database."""

    def __init__(self, service: Service, runtime: Runtime, entities: Sequence[Entity]) -> None:
        self.source, self.runtime = source_of(service.name), runtime
        self._tables = {entity.entity(): entity.__tablename__ for entity in service.entities}
        self.entities = tuple(entity for entity in entities if entity.name in self._tables)
        self.sources: Sources = snapshot_sources(runtime, service.entities)

    def union(self, condition: str, entities: Collection[Entity] | None = None, columns: str = "id, version") -> str:
        """Return SQL that selects these columns of all records that meet a condition. Each table uses its own indexes."""
        chosen = self.entities if entities is None else entities
        parts = (f'(select {columns} from public."{self._tables[entity.name]}" where {condition})' for entity in chosen)
        return " union all ".join(parts)

    async def versions(self, conn: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the versions of those of these records that exist."""
        if not self.entities:
            return {}
        rows: Sequence[Any] = (await conn.exec_driver_sql(self.union("id = any($1::uuid[])"), (list(ids),))).all()
        return {row[0]: row[1] for row in rows}

    async def ever_had(self, conn: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
        """Return those of these records that its history has, including deleted ones."""
        known = "select distinct entity_id from audit where entity_id = any($1::uuid[])"
        return set((await conn.exec_driver_sql(known, (list(ids),))).scalars())


_POSITIONS = """
select entity, epoch, version from inbox_position
where consumer = $1 and source = $2 and entity > $3 and not deleted and version > 0 order by entity limit $4
"""


async def positions_after(
    conn: AsyncConnection, group: str, source: str, after: UUID, limit: int
) -> list[tuple[UUID, Place]]:
    """Return up to ``limit`` records of a source, sorted by id and not deleted, with a group's positions."""
    rows: Sequence[Any] = (await conn.exec_driver_sql(_POSITIONS, (group, source, after, limit))).all()
    return [(row[0], Place(row[1], row[2])) for row in rows]
