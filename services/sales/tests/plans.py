"""How PostgreSQL would carry out what a timer asks every second, whatever the parameters."""

from datetime import UTC, datetime

from crm_kit.runtime import Runtime
from crm_kit.timers import DueQuery


async def plan_of(runtime: Runtime, due: DueQuery) -> str:
    """The generic plan of a timer's question, as the loop asks it; a whole table is read only where no index helps."""
    asked = due(datetime(2026, 5, 31, tzinfo=UTC)).limit(1).with_for_update(skip_locked=True)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("set local plan_cache_mode = force_generic_plan")
        await conn.exec_driver_sql("set local enable_seqscan = off")
        compiled = asked.compile(dialect=conn.dialect)
        values = ", ".join(f"'{compiled.params[name]}'" for name in compiled.positiontup or ())
        await conn.exec_driver_sql(f"prepare due as {compiled}")
        plan = "".join(row[0] for row in await conn.exec_driver_sql(f"explain execute due({values})"))
        await conn.exec_driver_sql("deallocate due")
    return plan
