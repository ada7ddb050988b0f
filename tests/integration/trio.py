"""Sales and two services that follow it, in their own databases and without processes: tests pass each event on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from crm_activities.app import SERVICE as ACTIVITIES
from crm_insights.app import SERVICE as INSIGHTS
from crm_insights.consumers import CONSUMERS as INSIGHTS_CONSUMERS
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling.compare import Report
from crm_kit.reconciling.parties import Party
from crm_kit.reconciling.restored import Suite
from crm_kit.testing.databases import Databases
from crm_kit.work.outbox import stamped
from crm_kit.work.uow import UnitOfWork
from crm_sales.app import SERVICE as SALES
from crm_sales.consumers import CONSUMERS as SALES_CONSUMERS

Change = Callable[[UnitOfWork], Awaitable[None]]
SOURCE = "/crm/sales"
UNHEARD = (
    "update outbox set state = 'published', published_at = created_at where state = 'pending' returning body, epoch"
)
LISTENS = """
insert into inbox_bound (consumer, source, bound_at) select c, '/crm/sales', '2020-01-01Z' from unnest($1::text[]) c
"""


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@dataclass
class Trio:
    """Sales, with activities and insights as followers. The test passes events on."""

    suite: Suite
    sales: Runtime
    followers: dict[str, Runtime]
    said: list[str] = field(default_factory=list)
    queue: list[Message] | None = None
    """The place of events until they are passed on."""

    async def change(self, change: Change, *, lost: bool = False) -> None:
        """A unit of work of sales. One that is ``lost`` was received by all followers and is in no backup."""
        async with self.sales.db.connect(autocommit=False) as conn, conn.begin() as transaction:
            await conn.exec_driver_sql("select 1")
            uow = UnitOfWork.for_timer(conn, self.sales)
            await change(uow)
            await uow.flush()
            if lost:
                rows: Any = (await conn.exec_driver_sql(UNHEARD)).all()
                await transaction.rollback()
                await self.hand_on([Message.read(stamped(*row)) for row in rows])

    async def published(self) -> list[Message]:
        """Return the events in the outbox, which count as sent from now on."""
        async with self.sales.db.begin() as conn:
            rows: Any = (await conn.exec_driver_sql(UNHEARD)).all()
        return [Message.read(stamped(*row)) for row in rows]

    async def publish(self) -> None:
        """Pass on the events in the outbox."""
        await self.hand_on(await self.published())

    async def hand_on(self, messages: list[Message]) -> None:
        if self.queue is not None:
            self.queue += messages
            return
        for name, runtime in self.followers.items():
            await Dispatcher(self.suite.parties[name].consumers, runtime).settle(messages)

    async def compared(self, drained: Callable[[], Awaitable[bool]] = yes, seconds: float = 60) -> dict[str, Report]:
        pairs = self.suite.pairs(publishers=["sales"])
        return {pair.group.name: await self.suite.compare(pair, drained, seconds) for pair in pairs}

    async def rebuilt(self, name: str) -> None:
        [pair] = [pair for pair in self.suite.pairs(publishers=["sales"]) if pair.group.name == name]
        await self.suite.rebuild(pair, self.said.append)

    async def shown(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the records that activities shows."""
        async with self.followers["activities"].db.autocommit() as conn:
            return [tuple(row) for row in await conn.exec_driver_sql(sql, parameters)]


@asynccontextmanager
async def opened(databases: Databases, activities: Consumers) -> AsyncIterator[Trio]:
    """Open the three services, with these groups of activities. They have listened for years."""
    made = {service.name: databases.of(service) for service in (SALES, ACTIVITIES, INSIGHTS)}
    consumers = {"sales": SALES_CONSUMERS, "activities": activities, "insights": INSIGHTS_CONSUMERS}
    parties = {name: Party(of.service, consumers[name], of.url) for name, of in made.items()}
    async with Suite.of(parties) as suite:
        runtimes = {name: await suite.runtime(name) for name in parties}
        trio = Trio(suite, runtimes.pop("sales"), runtimes)
        for name, runtime in runtimes.items():
            async with runtime.db.begin() as conn:
                await conn.exec_driver_sql(LISTENS, (list(consumers[name].groups),))
        await trio.publish()
        yield trio
    # The epoch is the default of a column, which restoring rows does not reset.
    async with trio.sales.db.begin() as conn:
        await conn.exec_driver_sql("alter table outbox alter column epoch set default 0")
    await trio.sales.db.dispose()
    for of in made.values():
        await of.restore()
