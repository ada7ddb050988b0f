"""Outbox and audit in parts. What they hold becomes their first part: nothing is copied, and nothing read under a lock.

The statements of the release before still run: they find all rows, in more parts than they need. ``crm_kit.schema.adoption`` does
before and after this what takes long on a table that is large.
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
"""Rows of the outbox among which the newest instant is looked for: its order is that of commits, not of clocks."""

INDEXES = (
    "create index if not exists ix_inbox_due_group on inbox (consumer, next_attempt_at) where state = 'pending'",
    "create index if not exists ix_inbox_suspect on inbox (consumer, next_attempt_at)"
    " where state = 'pending' and last_error = 'the process ended during the last attempt'",
)
"""A group finds its own events that are due, and those that may have ended a process, however many wait beside them. Where
the inbox is large, they are there before (``crm_kit.schema.adoption``)."""


def upgrade() -> None:
    """Turn the tables over, inside the revision that calls this."""
    connection = op.get_bind()
    lock_whole(connection)
    connection.exec_driver_sql(f"create schema if not exists {SCHEMA}")
    _turn_outbox(connection)
    _turn_audit(connection)
    _run(connection, list(INDEXES))
    # Keys leave in the order in which they came: cleared away by a fiftieth of the table rather than a fifth, it stays as
    # large as what it holds.
    connection.exec_driver_sql("alter table inbox set (autovacuum_vacuum_scale_factor = 0.02)")


def lock_whole(connection: Connection) -> None:
    """Lock what is going to be turned over, and all that writers lock before it; all or nothing.

    Taken before any other lock of the migration, and in the order of those who write. Nothing is done where the tables have their
    parts, or are not there.
    """
    plain = "select exists (select from pg_class where oid = to_regclass('public.outbox') and relkind = 'r')"
    if not _scalar(connection, plain):
        return
    connection.exec_driver_sql("lock table inbox, inbox_position, inbox_bound, audit, outbox in access exclusive mode")


def _set_aside(connection: Connection, table: str) -> bool:
    """Make room for a table of that name; whether the old one holds anything."""
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
    # Few, and found by their index; all others stay where they are, and nobody adds to them: the constraint is checked,
    # and the table attached, when nothing is locked any more.
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
    """Before which instant all rows of a table are, as its constraint says."""
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
