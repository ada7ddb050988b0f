"""The parts of the migration to partitions that run outside its transaction, because they take long on a large table.

Before the migration, a constraint is added to the audit trail and validated, so that the table can be attached without a scan.
After it, the published events of the outbox are validated and attached. Validation reads the table and blocks nobody. Both parts
can be repeated after any failure.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.schema.patience import patiently, take_turn
from crm_kit.schema.v0005_partitions import INDEXES
from crm_kit.store.database import Database
from crm_kit.store.partitions import SCHEMA
from crm_kit.work.audit import AUDIT
from crm_kit.work.outbox import SENT

log = structlog.get_logger(__name__)

ROOM = timedelta(days=60)
"""The least time for which the old audit trail still accepts rows. If the migration stops between its steps, an operator has this
long to repeat it, or to go back with ``forget_audit``. After that, PostgreSQL refuses the rows of the previous release."""
OLD = f"{SCHEMA}.outbox_before"

_LACKS_INDEXES = """
select to_regclass('public.inbox') is not null and to_regclass('public.ix_inbox_suspect') is null
"""
_IS_PLAIN = "select exists (select from pg_class where oid = to_regclass('public.audit') and relkind = 'r')"
_HAS_CONSTRAINT = """
select exists (select from pg_constraint where conrelid = to_regclass('public.audit') and conname = 'audit_before')
"""
_IS_ASIDE = f"""
select exists (select from pg_class c where c.oid = to_regclass('{OLD}')
  and not exists (select from pg_inherits where inhrelid = c.oid))
"""
_UNTIL = f"""
select pg_get_constraintdef(oid) from pg_constraint where conrelid = '{OLD}'::regclass and conname = 'outbox_before'
"""


async def before_migrating(db: Database, lock: int) -> None:
    """Add and validate the constraint of the audit trail, if it is not partitioned yet, and add the indexes of the inbox.

    The constraint says that all rows are earlier than an instant. Only the handling of events waits for the indexes.
    """
    async with alone(db, lock) as conn:
        if await _is(conn, _LACKS_INDEXES):
            await patiently(conn, *INDEXES)
        # Also if the table is empty, because rows may be written before it is partitioned.
        if not await _is(conn, _IS_PLAIN):
            return
        if not await _is(conn, _HAS_CONSTRAINT):
            until = AUDIT.after(clock.now() + ROOM)
            check = f"check (at < '{until.isoformat()}') not valid"
            await patiently(conn, f"alter table audit add constraint audit_before {check}")
        try:
            await conn.exec_driver_sql("alter table audit validate constraint audit_before")
        except BaseException:
            await forget_audit(conn)
            raise


async def forget_audit(conn: AsyncConnection) -> None:
    """Remove the constraint of the audit trail."""
    await patiently(conn, "alter table audit drop constraint if exists audit_before")


async def after_migrating(db: Database, lock: int) -> None:
    """Attach the events that were published before the outbox was partitioned."""
    async with alone(db, lock) as conn:
        if not await _is(conn, _IS_ASIDE):
            return
        found = re.search(r"< '([^']+)'", (await conn.exec_driver_sql(_UNTIL)).scalar_one())
        assert found is not None
        until = found[1]
        try:
            await conn.exec_driver_sql(f"alter table {OLD} validate constraint outbox_before")
        except IntegrityError:
            # The clock of another machine was ahead.
            late = f"with late as (delete from {OLD} where created_at >= '{until}' returning *)"
            await conn.exec_driver_sql(f"{late} insert into public.outbox overriding system value select * from late")
            await conn.exec_driver_sql(f"alter table {OLD} validate constraint outbox_before")
        attach = f"alter table {SENT.parent} attach partition {OLD} for values from (minvalue) to ('{until}')"
        # Events that were published meanwhile and are older than the other partitions.
        early = f"with early as (delete from {SENT.default} where created_at < '{until}' returning *)"
        await patiently(
            conn,
            f"lock table {SENT.default} in access exclusive mode",
            f"{early} insert into {OLD} select * from early",
            attach,
        )
        log.info("partition.adopted", table="outbox", until=until)


@asynccontextmanager
async def alone(db: Database, lock: int) -> AsyncIterator[AsyncConnection]:
    """Wait until no other process migrates this database, and yield a connection in autocommit that holds the lock."""
    async with db.autocommit() as conn:
        await conn.exec_driver_sql("set lock_timeout = '0'")
        await take_turn(conn, f"select pg_try_advisory_lock({lock})")
        try:
            yield conn
        finally:
            await conn.exec_driver_sql(f"select pg_advisory_unlock({lock})")


async def _is(conn: AsyncConnection, question: str) -> bool:
    return bool((await conn.exec_driver_sql(question)).scalar_one())
