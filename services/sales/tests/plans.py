"""Query plans of PostgreSQL: the queries of timers, and how many rows a request reads."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events.timers import DueQuery
from crm_kit.process.runtime import Runtime
from crm_kit.store.database import fetch
from crm_kit.store.record import Record, new_id

ROWS = 2000


async def plan_of(runtime: Runtime, due: DueQuery, entity: type[Record]) -> str:
    """Return the generic plan of a timer's query, with many copies of the one record that the test made.

    With a handful of rows all indexes are equally good, and the choice depends on the latest statistics.
    """
    asked = due(datetime(2026, 5, 31, tzinfo=UTC)).limit(1).with_for_update(skip_locked=True)
    table = entity.__table__
    async with runtime.db.begin() as conn:
        made = dict((await conn.execute(select(table))).mappings().one())
        given = {column.name: made[column.name] for column in table.columns if column.computed is None}
        many = [given | {"id": new_id(), "number": f"MANY-{n}"} for n in range(ROWS)]
        await conn.execute(insert(table), [{name: row[name] for name in given} for row in many])
        await conn.exec_driver_sql(f"analyze {table}")
        await conn.exec_driver_sql("set local plan_cache_mode = force_generic_plan")
        compiled = asked.compile(dialect=conn.dialect)
        values = ", ".join(f"'{compiled.params[name]}'" for name in compiled.positiontup or ())
        await conn.exec_driver_sql(f"prepare due as {compiled}")
        plan = "".join(row[0] for row in await conn.exec_driver_sql(f"explain execute due({values})"))
        await conn.exec_driver_sql("deallocate due")
        await conn.rollback()
    return plan


class Counting:
    """Replaces a module's ``fetch``.

    It explains each statement just before running it, and counts the rows read of a table.
    """

    def __init__(self, table: str) -> None:
        self.rows: list[int] = []
        self._table = table

    async def __call__(self, conn: AsyncConnection, sql: str, parameters: Any = ()) -> Any:
        explained = await fetch(conn, f"explain (analyze, format json) {sql}", parameters)
        self.rows.append(sum(_touched(explained[0][0][0]["Plan"], self._table)))
        return await fetch(conn, sql, parameters)


def _touched(node: dict[str, Any], table: str) -> Iterator[int]:
    """Return the rows that a plan reads of a table, including those that it filters out."""
    if node.get("Relation Name") == table:
        thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield node["Actual Loops"] * (node["Actual Rows"] + thrown)
    for child in node.get("Plans", ()):
        yield from _touched(child, table)
