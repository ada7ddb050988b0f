"""What a migration to partitions does outside its transaction, because it takes long on a table that is large.

Before: a constraint is added to the audit trail and checked, so that it can be attached without being read. After: the
events that the outbox had published are checked and attached. Checking reads the table and stops nobody. Both can be begun
again, whatever ended them.
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
"""The old audit trail takes what is written for this long at least. Where the migration is given up between its steps, the
release before would be refused its rows then: too long for anybody not to have gone on, or back by ``forget_audit``."""
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
    """Make sure that the audit trail, while it is one table, is known to hold nothing from after an instant; and that the
    inbox has its indexes: only who handles events waits while they are made."""
    async with alone(db, lock) as conn:
        if await _is(conn, _LACKS_INDEXES):
            await patiently(conn, *INDEXES)
        # Also where it is empty: somebody may write before it is turned over.
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
    """Take the constraint away again."""
    await patiently(conn, "alter table audit drop constraint if exists audit_before")


async def after_migrating(db: Database, lock: int) -> None:
    """Attach the events that were published before the outbox had parts."""
    async with alone(db, lock) as conn:
        if not await _is(conn, _IS_ASIDE):
            return
        found = re.search(r"< '([^']+)'", (await conn.exec_driver_sql(_UNTIL)).scalar_one())
        assert found is not None
        until = found[1]
        try:
            await conn.exec_driver_sql(f"alter table {OLD} validate constraint outbox_before")
        except IntegrityError:
            # A clock of another machine was ahead of all that are known of.
            late = f"with late as (delete from {OLD} where created_at >= '{until}' returning *)"
            await conn.exec_driver_sql(f"{late} insert into public.outbox overriding system value select * from late")
            await conn.exec_driver_sql(f"alter table {OLD} validate constraint outbox_before")
        attach = f"alter table {SENT.parent} attach partition {OLD} for values from (minvalue) to ('{until}')"
        # What was published meanwhile and is older than the other parts.
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
    """A connection in autocommit, while no other process migrates this database."""
    async with db.autocommit() as conn:
        await conn.exec_driver_sql("set lock_timeout = '0'")
        await take_turn(conn, f"select pg_try_advisory_lock({lock})")
        try:
            yield conn
        finally:
            await conn.exec_driver_sql(f"select pg_advisory_unlock({lock})")


async def _is(conn: AsyncConnection, question: str) -> bool:
    return bool((await conn.exec_driver_sql(question)).scalar_one())
