"""Checks whether a database has what this build needs: the revision, tables, columns, indexes, constraints, triggers and
partitions.

The revision alone proves nothing. It is wrong after a migration was edited, a database was restored in part, or an operator
changed the schema. Requests would then fail with errors of all kinds.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.process.runtime import Service
from crm_kit.schema.revisions import head_of, refusal_of, revision_of
from crm_kit.signals.metrics import gauge
from crm_kit.store.searching import searched, trigger_of

TOLD = 5
"""The most differences that a reason names."""

FITS = gauge("crm.schema.fits", "1 when the schema of the database fits this build.")

_FOUND = """
select 'column ' || c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
union all
select 'index ' || c.relname || '.' || i.relname, ''
from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
where c.relnamespace = 'public'::regnamespace
union all
select 'constraint ' || c.relname || '.' || k.conname, ''
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = 'public'::regnamespace
union all
select 'trigger ' || c.relname || '.' || g.tgname, ''
from pg_trigger g join pg_class c on c.oid = g.tgrelid
where c.relnamespace = 'public'::regnamespace and not g.tgisinternal
union all
select 'part ' || c.relname || '.' || p.relname, ''
from pg_inherits i join pg_class c on c.oid = i.inhparent join pg_class p on p.oid = i.inhrelid
where c.relnamespace = 'public'::regnamespace
"""


class Standing:
    """Checks the database for one process. After a successful check, it compares only the revision."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._fine_at: str | None = None

    async def reasons(self, conn: AsyncConnection) -> list[str]:
        """Return the reasons why this build must not use the database; an empty list if it may."""
        reasons = await self._reasons(conn)
        FITS.set(int(not reasons))
        return reasons

    async def _reasons(self, conn: AsyncConnection) -> list[str]:
        if not (package := self._service.migrations):
            return []
        revision, known = await revision_of(conn), head_of(package)
        if revision == self._fine_at:
            return []
        if revision < known:
            return [f"the database is at revision {revision or 'none'}, this build needs {known}"]
        if revision > known and (refusal := await refusal_of(conn, package, revision)):
            return [refusal]
        # A newer release may have widened columns and replaced indexes.
        missing = await differences(conn, self._service, only_columns=revision > known)
        if missing:
            more = f" and {len(missing) - TOLD} more" if len(missing) > TOLD else ""
            return [f"the database does not hold what revision {revision} makes: {'; '.join(missing[:TOLD])}{more}"]
        self._fine_at = revision
        return []


async def differences(conn: AsyncConnection, service: Service, *, only_columns: bool = False) -> list[str]:
    """Return what the service's models need and the database lacks, or has with another type. The database may have more."""
    rows: list[Any] = list(await conn.exec_driver_sql(_FOUND))
    found: dict[str, str] = {row[0]: row[1] for row in rows}
    lacking = []
    for name, type_ in needed(service.metadata).items():
        if only_columns and not name.startswith("column"):
            continue
        if name not in found:
            lacking.append(f"{name} is missing")
        elif found[name] != type_ and not only_columns:
            lacking.append(f"{name} is {found[name]}, not {type_}")
    return lacking


@cache
def needed(metadata: MetaData) -> Mapping[str, str]:
    """What a service's tables consist of, each with its type or an empty text. Found once, before forks: it touches every
    column."""
    return {name: type_ for table in metadata.sorted_tables for name, type_ in _needed(table).items()}


def _needed(table: Table) -> dict[str, str]:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its constructor untyped
    preparer = dialect.identifier_preparer
    needed = {f"column {table.name}.{column.name}": _as_told(column.type.compile(dialect)) for column in table.columns}
    indexes = [preparer.format_index(index) for index in table.indexes]
    # SQLAlchemy gives a table without a primary key one that has no columns.
    constraints = [
        preparer.format_constraint(key) for key in table.constraints if key is not table.primary_key or key.columns
    ]
    needed |= {f"index {table.name}.{_unquoted(name)}": "" for name in indexes}
    # Partitions by time come and go. The permanent ones are checked.
    needed |= {f"part {table.name}.{part}": "" for part in table.info.get("parts", ())}
    if searched(table) is not None:
        needed[f"trigger {table.name}.{trigger_of(table.name)}"] = ""
    return needed | {f"constraint {table.name}.{_unquoted(name)}": "" for name in constraints if name}


def _unquoted(name: str) -> str:
    return name.strip('"')


def _as_told(type_: str) -> str:
    """Return a type as ``format_type`` of PostgreSQL spells it."""
    return type_.lower().replace("varchar", "character varying").replace(", ", ",")
