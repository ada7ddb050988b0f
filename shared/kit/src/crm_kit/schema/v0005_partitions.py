"""Partitions outbox and audit. The present tables become their first partitions, without copying or reading rows under a lock.

The statements of the previous release still find all rows, but read more partitions than necessary. ``crm_kit.schema.adoption``
does before and after this step what takes long on a large table.
"""

import re
from datetime import datetime
from typing import Any

from alembic import op
from sqlalchemy import Connection

from crm_kit import clock
from crm_kit.store.partitions import LIKE, SCHEMA
from crm_kit.work.audit import AUDIT, audit_parts
from crm_kit.work.outbox import SENT, outbox_parts

NEWEST = 10_000
"""The number of last rows of the outbox that are searched for the newest instant. Rows are not in the order of their instants."""

INDEXES = (
    "create index if not exists ix_inbox_due_group on inbox (consumer, next_attempt_at) where state = 'pending'",
    "create index if not exists ix_inbox_suspect on inbox (consumer, next_attempt_at)"
    " where state = 'pending' and last_error = 'the process ended during the last attempt'",
)
"""Indexes of a group's due events, and of events that may have ended a process. ``crm_kit.schema.adoption`` creates them before
the migration, because the inbox may be large."""


def upgrade() -> None:
    """Partition the tables. Call it in a revision."""
    connection = op.get_bind()
    lock_whole(connection)
    connection.exec_driver_sql(f"create schema if not exists {SCHEMA}")
    _turn_outbox(connection)
    _turn_audit(connection)
    _run(connection, list(INDEXES))
    # Keys are deleted in the order of their insertion. A vacuum after 2 % of the table instead of 20 % keeps the table small.
    connection.exec_driver_sql("alter table inbox set (autovacuum_vacuum_scale_factor = 0.02)")


def lock_whole(connection: Connection) -> None:
    """Lock the tables that will be partitioned, and all tables that writers lock before them.

    These are the first locks of the migration, in the order in which writers take them. It does nothing if the tables are
    partitioned already, or do not exist.
    """
    plain = "select exists (select from pg_class where oid = to_regclass('public.outbox') and relkind = 'r')"
    if not _scalar(connection, plain):
        return
    connection.exec_driver_sql("lock table inbox, inbox_position, inbox_bound, audit, outbox in access exclusive mode")


def _set_aside(connection: Connection, table: str) -> bool:
    """Rename a table, so that its name is free. Returns whether it has rows."""
    connection.exec_driver_sql(f"alter table public.{table} rename to {table}_before")
    connection.exec_driver_sql(f"alter table public.{table}_before set schema {SCHEMA}")
    return bool(_scalar(connection, f"select exists (select from {SCHEMA}.{table}_before)"))


def _turn_outbox(connection: Connection) -> None:
    old = f"{SCHEMA}.outbox_before"
    next_ = _scalar(connection, "select last_value + 1 from outbox_seq_seq")
    has_rows = _set_aside(connection, "outbox")
    connection.exec_driver_sql(f"alter table {old} alter column seq drop identity")
    connection.exec_driver_sql(f"create table public.outbox (like {old} {LIKE}) partition by list (state)")
    connection.exec_driver_sql(
        f"alter table public.outbox alter column seq add generated always as identity (start with {next_})"
    )
    if not has_rows:
        _run(connection, [f"drop table {old}", *outbox_parts(SENT.begin(clock.now()))])
        return
    newest = _scalar(
        connection,
        f"select max(created_at) from (select created_at from {old} order by seq desc limit {NEWEST}) newest",
    )
    until = max(newest, clock.now())
    for index in ("ix_outbox_pending", "ix_outbox_held"):
        connection.exec_driver_sql(f"alter index {SCHEMA}.{index} rename to {index}_before")
    _run(connection, outbox_parts(until))
    # Pending rows are few and found by their index. All others stay in the old table, to which no rows are added any more. The
    # constraint is validated and the table attached when the locks are released.
    connection.exec_driver_sql(
        f"with pending as (delete from {old} where state = 'pending' returning *)"
        " insert into public.outbox overriding system value select * from pending"
    )
    connection.exec_driver_sql(f"drop index {SCHEMA}.ix_outbox_pending_before, {SCHEMA}.ix_outbox_held_before")
    connection.exec_driver_sql(
        f"alter table {old} add constraint outbox_before"
        f" check (not (state is not null and state = 'pending') and created_at < '{until.isoformat()}') not valid"
    )


def _turn_audit(connection: Connection) -> None:
    old = f"{SCHEMA}.audit_before"
    has_rows = _set_aside(connection, "audit")
    connection.exec_driver_sql(f"create table public.audit (like {old} {LIKE}) partition by range (at)")
    connection.exec_driver_sql("alter table public.audit drop constraint if exists audit_before")
    if not has_rows:
        _run(connection, [f"drop table {old}", *audit_parts(AUDIT.begin(clock.now()))])
        return
    until = until_of(connection, old)
    if until is None:
        raise RuntimeError("audit holds rows, and nothing says until when: migrate with crm_kit.schema.migrations")
    connection.exec_driver_sql(
        f"alter table public.audit attach partition {old} for values from (minvalue) to ('{until}')"
    )
    connection.exec_driver_sql(f"alter table {old} drop constraint audit_before")
    _run(connection, audit_parts(datetime.fromisoformat(until)))


def until_of(connection: Connection, table: str) -> str | None:
    """Return the instant before which all rows of a table are, from its constraint; None without a constraint."""
    schema, _, name = table.partition(".")
    told = _scalar(
        connection,
        "select pg_get_constraintdef(oid) from pg_constraint"
        f" where conrelid = '{schema}.{name}'::regclass and conname = '{name}'",
    )
    found = re.search(r"< '([^']+)'", told or "")
    return found[1] if found else None


def _run(connection: Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def _scalar(connection: Connection, sql: str) -> Any:
    return connection.exec_driver_sql(sql).scalar_one_or_none()
