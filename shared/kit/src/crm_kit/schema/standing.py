"""Whether a database holds what this build needs: its revision, and the tables, columns, indexes,
constraints and parts themselves.

A revision is a claim. A migration that was edited after it had run, a restore of half a database or an operator's hand
make it false, and every request would tell so with an error of its own.
"""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.process.runtime import Service
from crm_kit.schema.revisions import head_of, refusal_of, revision_of
from crm_kit.signals.metrics import gauge

TOLD = 5
"""So many differences are named; whoever mends these finds the rest."""

FITS = gauge("crm.schema.fits", "1 when the database holds what this build needs.")

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
select 'part ' || c.relname || '.' || p.relname, ''
from pg_inherits i join pg_class c on c.oid = i.inhparent join pg_class p on p.oid = i.inhrelid
where c.relnamespace = 'public'::regnamespace
"""


class Standing:
    """One process's look at its database. What was found in order once is asked again only for its revision."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._fine_at: str | None = None

    async def reasons(self, conn: AsyncConnection) -> list[str]:
        """Why this build must not work on this database; empty when it may."""
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
        # A newer release may have widened a column, and replaced an index by a better one.
        missing = await differences(conn, self._service, only_columns=revision > known)
        if missing:
            more = f" and {len(missing) - TOLD} more" if len(missing) > TOLD else ""
            return [f"the database does not hold what revision {revision} makes: {'; '.join(missing[:TOLD])}{more}"]
        self._fine_at = revision
        return []


async def differences(conn: AsyncConnection, service: Service, *, only_columns: bool = False) -> list[str]:
    """What the service's classes need and the database lacks, or has with another type. More than they need is fine."""
    rows: list[Any] = list(await conn.exec_driver_sql(_FOUND))
    found: dict[str, str] = {row[0]: row[1] for row in rows}
    lacking = []
    for table in service.metadata.sorted_tables:
        for name, type_ in _needed(table).items():
            if only_columns and not name.startswith("column"):
                continue
            if name not in found:
                lacking.append(f"{name} is missing")
            elif found[name] != type_ and not only_columns:
                lacking.append(f"{name} is {found[name]}, not {type_}")
    return lacking


def _needed(table: Table) -> dict[str, str]:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its constructor untyped
    preparer = dialect.identifier_preparer
    needed = {f"column {table.name}.{column.name}": _as_told(column.type.compile(dialect)) for column in table.columns}
    indexes = [preparer.format_index(index) for index in table.indexes]
    # A table without a primary key has one of no columns.
    constraints = [
        preparer.format_constraint(key) for key in table.constraints if key is not table.primary_key or key.columns
    ]
    needed |= {f"index {table.name}.{_unquoted(name)}": "" for name in indexes}
    # Parts by time come and go; those that any row may need are there for good.
    needed |= {f"part {table.name}.{part}": "" for part in table.info.get("parts", ())}
    return needed | {f"constraint {table.name}.{_unquoted(name)}": "" for name in constraints if name}


def _unquoted(name: str) -> str:
    return name.strip('"')


def _as_told(type_: str) -> str:
    """A type as ``format_type`` spells it."""
    return type_.lower().replace("varchar", "character varying").replace(", ", ",")
