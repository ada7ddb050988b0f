"""The parts of a migration that run before its transaction, because they take long on a large table or wait for its users.

A revision declares them as ``ahead``, a function of a connection in autocommit. It is called before the migration begins, while
the previous release may run, and again after any failure. It must find out what is left to do, and do nothing if a table does
not exist yet. The revision itself calls ``within``, which does what is still missing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.patience import patiently

Ahead = Callable[[AsyncConnection], Awaitable[None]]

COLUMNS: Final = """
select coalesce(array_agg(attname::text), '{}') from pg_attribute
where attrelid = to_regclass($1::text) and attnum > 0 and not attisdropped
"""
_VALID = "select convalidated from pg_constraint where conrelid = to_regclass($1::text) and conname = $2"
_STANDS = "select indisvalid from pg_index where indexrelid = to_regclass($1::text)"


async def columns_of(conn: AsyncConnection, table: str) -> set[str]:
    """Return the names of a table's columns; an empty set if there is no such table."""
    return set((await conn.exec_driver_sql(COLUMNS, (f"public.{table}",))).scalar_one())


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A new column with a constant default. Adding it reads no rows, but waits for all users of the table."""

    table: str
    name: str
    definition: str
    comment: str = ""

    async def make(self, conn: AsyncConnection) -> None:
        """Add the column if the table exists and lacks it. Users of the table wait for at most half a second at a time."""
        columns = await columns_of(conn, self.table)
        if columns and self.name not in columns:
            await patiently(conn, *self._statements)

    def within(self) -> None:
        """Add the column if the table lacks it. Call it in a revision."""
        if self.name not in op.get_bind().exec_driver_sql(COLUMNS, (f"public.{self.table}",)).scalar_one():
            for statement in self._statements:
                op.execute(statement)

    @property
    def _statements(self) -> list[str]:
        statements = [f"alter table public.{self.table} add column {self.name} {self.definition}"]
        if self.comment:
            quoted = self.comment.replace("'", "''")
            statements.append(f"comment on column public.{self.table}.{self.name} is '{quoted}'")
        return statements


@dataclass(frozen=True, slots=True)
class NewCheck:
    """A new CHECK of a table that may be large. It is validated in a statement of its own, which holds up no writer."""

    name: str
    table: str
    columns: tuple[str, ...]
    condition: str

    async def make(self, conn: AsyncConnection) -> None:
        """Add and validate the constraint if the table has its columns. Users wait for at most half a second at a time.

        Raises IntegrityError if a row contradicts it. The constraint then stays, and holds for new rows only.
        """
        if not set(self.columns) <= await columns_of(conn, self.table):
            return
        valid = (await conn.exec_driver_sql(_VALID, self._names)).scalar_one_or_none()
        if valid is None:
            await patiently(conn, f"{self._add} not valid")
        if not valid:
            await conn.exec_driver_sql(self._validate)

    def within(self) -> None:
        """Add or validate the constraint if that is missing. Call it in a revision."""
        valid = op.get_bind().exec_driver_sql(_VALID, self._names).scalar_one_or_none()
        if valid is None:
            op.execute(self._add)
        elif not valid:
            op.execute(self._validate)

    @property
    def _names(self) -> tuple[str, str]:
        return f"public.{self.table}", self.name

    @property
    def _add(self) -> str:
        return f"alter table public.{self.table} add constraint {self.name} check ({self.condition})"

    @property
    def _validate(self) -> str:
        return f"alter table public.{self.table} validate constraint {self.name}"


@dataclass(frozen=True, slots=True)
class NewIndex:
    """A new index of a table that may be large."""

    name: str
    table: str
    columns: tuple[str, ...]
    where: str = ""
    definition: str = ""
    """The part after the table's name, if it is more than the columns."""

    async def make(self, conn: AsyncConnection) -> None:
        """Create the index if the table exists and lacks it.

        It waits for transactions that began earlier, such as a dump. It blocks neither readers nor writers.
        """
        if not set(self.columns) <= await columns_of(conn, self.table):
            return
        if (stands := (await conn.exec_driver_sql(_STANDS, (f"public.{self.name}",))).scalar_one_or_none()) is False:
            # An earlier attempt did not finish.
            await conn.exec_driver_sql(f"drop index concurrently public.{self.name}")
        if not stands:
            await conn.exec_driver_sql(f"create index concurrently {self._on}")

    def within(self) -> None:
        """Create the index if the table lacks it. Call it in a revision."""
        if op.get_bind().exec_driver_sql(_STANDS, (f"public.{self.name}",)).scalar_one_or_none() is None:
            op.execute(f"create index {self._on}")

    @property
    def _on(self) -> str:
        rows = f" where {self.where}" if self.where else ""
        what = self.definition or f"({', '.join(self.columns)})"
        return f"{self.name} on public.{self.table} {what}{rows}"
