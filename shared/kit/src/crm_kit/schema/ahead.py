"""What a migration does ahead of its transaction, because it takes long on a table that is large, or waits for who uses it.

A revision says so by ``ahead``, a function of a connection in autocommit. It is called before the migration begins, while the
release before may be at work, and again whenever that did not get to its end: it finds out itself what is left to do, and does
nothing where a table is not there yet. ``within`` is for the revision itself, and does what was not done ahead of it.
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
_STANDS = "select indisvalid from pg_index where indexrelid = to_regclass($1::text)"


async def columns_of(conn: AsyncConnection, table: str) -> set[str]:
    """The columns of a table; none where there is no such table."""
    return set((await conn.exec_driver_sql(COLUMNS, (f"public.{table}",))).scalar_one())


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column with a constant default. Adding it reads no row, but waits for everybody who uses the table."""

    table: str
    name: str
    definition: str
    comment: str = ""

    async def make(self, conn: AsyncConnection) -> None:
        """Add it, if the table is there and lacks it; who uses the table waits for half a second at a time at most."""
        columns = await columns_of(conn, self.table)
        if columns and self.name not in columns:
            await patiently(conn, *self._statements)

    def within(self) -> None:
        """Add it, if the table lacks it."""
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
class NewIndex:
    """An index of a table that may be large."""

    name: str
    table: str
    columns: tuple[str, ...]
    where: str = ""

    async def make(self, conn: AsyncConnection) -> None:
        """Make it, if the table is there and lacks it. It waits for transactions that began before, such as a dump, and holds up
        neither readers nor writers."""
        if not set(self.columns) <= await columns_of(conn, self.table):
            return
        if (stands := (await conn.exec_driver_sql(_STANDS, (f"public.{self.name}",))).scalar_one_or_none()) is False:
            # An attempt before this one was ended.
            await conn.exec_driver_sql(f"drop index concurrently public.{self.name}")
        if not stands:
            await conn.exec_driver_sql(f"create index concurrently {self._on}")

    def within(self) -> None:
        """Make it, if the table lacks it."""
        if op.get_bind().exec_driver_sql(_STANDS, (f"public.{self.name}",)).scalar_one_or_none() is None:
            op.execute(f"create index {self._on}")

    @property
    def _on(self) -> str:
        rows = f" where {self.where}" if self.where else ""
        return f"{self.name} on public.{self.table} ({', '.join(self.columns)}){rows}"
