"""Reads a page of the rows that a caller may read, in an order.

A condition that combines all owners and units with OR is a hundred times slower than a page of each owner and unit, merged. If an
index has the rows of each owner in this order, every branch reads this index and stops after a page.

For other orders there are two ways. One reads and sorts all rows that the caller may read. It is slow if there are many of them.
The other reads the index of the order and skips the rows of others. It is slow if the caller may read few rows. The rows that the
caller may read are therefore counted first, up to the number at which both ways cost the same. This is the square root of (rows
of a page x rows of the table).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Index
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.access.reach import BoundReach
from crm_kit.store.database import fetch
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import Record
from crm_kit.store.searching import sort_key

LEAST: Final = 1000
"""The number of rows that are always sorted, for small tables and for those whose size the database does not know yet."""
PAST_BOUND: Final = 2
"""The factor of the bound up to which the index is read. It allows for rows that are distributed unevenly."""

KEY: Final = "the_key"
"""The column with what an order compares."""
IN_ORDER: Final = "crm_sort_key({})"
"""What an index has of a text that people read (``crm_kit.store.columns.name_indexes``)."""
WALKED: Final = 8192
"""The number of rows in the order among which a search looks for a full page before it uses the index of the text."""


@dataclass(frozen=True, slots=True)
class Order:
    """The sort key. Nulls sort lowest, so that one index serves both directions. ``read`` is a column with text that people read,
    which is sorted as they expect."""

    name: str
    column: str
    cast: str
    descending: bool
    nullable: bool
    read: bool = False

    def of(self, value: str) -> str:
        """Return what the order compares of a value, as SQL."""
        return sort_key(value) if self.read else value

    @property
    def key(self) -> str:
        """What identifies a row in the order, without directions."""
        return f"{self.value}, id"

    @property
    def value(self) -> str:
        """What the order compares of a row, as SQL."""
        return self.of(f'"{self.column}"')

    @property
    def sql(self) -> str:
        """The ORDER BY list."""
        return self.by(self.value)

    def by(self, value: str) -> str:
        """Return the ORDER BY list of rows that have what is compared as a column."""
        way = "desc" if self.descending else "asc"
        # An index of text that people read has its nulls first, even if there are none.
        nulls = (" nulls last" if self.descending else " nulls first") if self.nullable or self.read else ""
        return f"{value} {way}{nulls}, id {way}"

    def follows(self, position: Sequence[Any], parameters: Parameters) -> list[str]:
        """Return the conditions of the rows after a position, one per branch."""
        sign = "<" if self.descending else ">"
        value, record_id = position
        if value is None:
            after = f"t.{self.column} is null and t.id {sign} {parameters.add(UUID(record_id), 'uuid')}"
            return [after] if self.descending else [after, f"t.{self.column} is not null"]
        at = self.of(parameters.add(value, "text") + f"::{self.cast}")
        after = f"({self.of(f't.{self.column}')}, t.id) {sign} ({at}, {parameters.add(UUID(record_id), 'uuid')})"
        return [after, f"t.{self.column} is null"] if self.descending and self.nullable else [after]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a list reads."""

    entities: tuple[type[Record], ...]

    @property
    def size(self) -> str:
        """SQL for the number of rows, as PostgreSQL last estimated it."""
        names = ", ".join(f"""'public."{one.__tablename__}"'::regclass""" for one in self.entities)
        return f"(select sum(greatest(reltuples, 0)) from pg_class where oid in ({names}))"

    def two_ways(self, order: Order) -> bool:
        """Whether all tables have an index in this order, but not one that begins with the owner."""
        key = IN_ORDER.format(order.column) if order.read else order.column
        return _indexed(self.entities, key, "id") and not _indexed(self.entities, "owner_id", key, "id")

    def read_by_people(self, column: str) -> bool:
        """Whether this is a column with text that people read. All tables then have an index of its order."""
        return _indexed(self.entities, IN_ORDER.format(column), "id")


@cache
def _indexed(entities: tuple[type[Record], ...], *columns: str) -> bool:
    return all(any(_columns(index) == columns for index in one.__table__.indexes) for one in entities)


def _columns(index: Index) -> tuple[str, ...]:
    """Return the names of an index's columns. SQLAlchemy has a column with an order of nulls as a text."""
    return tuple(one.name if isinstance(one, Column) else str(one).partition(" ")[0] for one in index.expressions)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to read. ``branches`` are conditions of rows after a position; their rows follow one another in the order."""

    table: str
    columns: str
    order: Order
    conditions: tuple[str, ...]
    branches: tuple[str, ...]
    reach: BoundReach
    size: int
    limit: str
    """``size``, as a parameter."""
    searches: bool = False
    """Whether the conditions search for text, which has an index of its own."""
    narrow: str = ""
    """A condition that indexes of text serve, if ``conditions`` are more than that. Only a search uses it."""
    usual: int | None = None
    """The number of parameters without those of ``narrow``."""

    def by_sources(self, *, sorting: bool = False) -> str:
        """Return SQL that merges a page of each owner and unit. ``sorting`` reads all of their rows and does not use an index of
        the order."""
        sources = self.reach.sources
        selects = []
        for branch in self.branches:
            for source, match in sources:
                where = _where(match, self.narrow if sorting else "", *self.conditions, branch)
                read = f"{self.table} t where {where}"
                if sorting:
                    read = f"(select * from {read} offset 0) t"
                inner = f"select {self.columns} from {read} order by {self.order.sql} limit {self.limit}"
                selects.append(f"select t.* from {source} cross join lateral ({inner}) t" if source else f"({inner})")
        if len(selects) == 1 and not sources[0][0]:
            return selects[0][1:-1]
        merged = " union all ".join(selects)
        distinct = f"distinct on ({self.order.key})" if len(selects) > 1 else ""
        return f"select {distinct} * from ({merged}) t order by {self.order.sql} limit {self.limit}"

    def by_counting(self, rows: str) -> str:
        """Return SQL for a page of the readable rows that is complete if their count does not exceed the bound.

        Each row has the count and the bound. ``rows`` is SQL for the size of the table.
        """
        behind = f"({' or '.join(self.branches)})" if all(self.branches) else ""
        key = f'"{self.order.column}"'
        parts = [
            f"(select t.* from {source} cross join lateral (select t.id, t.{key} from {self.table} t"
            f" where {_where(match, *self.conditions, behind)} limit (select most + 1 from bound)) t"
            # This limit applies to all owners and units together, however many there are.
            " limit (select most + 1 from bound))"
            for source, match in self.reach.sources
        ]
        return (
            f"with bound as materialized (select ceil(greatest({LEAST}, sqrt({self.limit} * {rows})))::bigint as most),"
            f" reached as materialized ({' union '.join(parts)})"
            f" select {self.columns}, (select most from bound) as the_bound, (select count(*) from reached) as the_count"
            f" from {self.table} t where t.id in (select id from reached order by {self.order.sql} limit {self.limit})"
            f" order by {self.order.sql}"
        )

    def by_walking(self, most: int) -> str:
        """Return SQL for a page of the readable rows among the next ``most`` rows in the order, whoever owns them."""
        # The outer statement knows the order of the walk by a column only, and stops when it has a page.
        behind, by = self.branches[0] or "true", self.order.by(KEY)
        walk = f"select *, {self.order.value} as {KEY} from {self.table} t where {behind} order by {self.order.sql} limit {most}"
        where = _where(self.reach.covers(), *self.conditions)
        return f"select {self.columns} from ({walk}) t where {where} order by {by} limit {self.limit}"


def _where(*conditions: str) -> str:
    return " and ".join(filter(None, conditions)) or "true"


async def read_page(
    conn: AsyncConnection, pages: Sequence[Page], tables: Tables, parameters: Parameters
) -> list[dict[str, Any]]:
    """Return the rows of a page. Several pages with different reaches are merged into one."""
    first = pages[0]
    if len(pages) == 1 and first.searches:
        return await _search(conn, first, tables, parameters)
    if len(pages) == 1 and first.reach.owners is not None and tables.two_ways(first.order):
        return await _read_either_way(conn, first, tables, parameters)
    parts = [page.by_sources() for page in pages]
    sql = parts[0]
    if len(parts) > 1:
        union = " union all ".join(f"({part})" for part in parts)
        sql = f"select * from ({union}) t order by {first.order.sql} limit {first.limit}"
    return [dict(row) for row in await fetch(conn, sql, parameters.values[: first.usual])]


async def _search(conn: AsyncConnection, page: Page, tables: Tables, parameters: Parameters) -> list[dict[str, Any]]:
    """Return a page of the rows that contain a text.

    Text that many rows contain is found soon by reading the index of the order. Text that few rows contain is found by the index
    of the text, whose rows are sorted. The planner cannot choose, because it does not know how many rows contain a parameter.
    """
    if page.reach.owners is not None:
        return await _read_either_way(conn, page, tables, parameters)
    rows = [dict(row) for row in await fetch(conn, page.by_walking(WALKED), parameters.values[: page.usual])]
    if len(rows) == page.size:
        return rows
    return [dict(row) for row in await fetch(conn, page.by_sources(sorting=True), parameters.values)]


async def _read_either_way(
    conn: AsyncConnection, page: Page, tables: Tables, parameters: Parameters
) -> list[dict[str, Any]]:
    rows = [dict(row) for row in await fetch(conn, page.by_counting(tables.size), parameters.values[: page.usual])]
    bound, count = 0, 0
    for row in rows:
        bound, count = row.pop("the_bound"), row.pop("the_count")
    if count <= bound:
        return rows
    # A power of two, so that a growing table does not cause new statements again and again.
    most: int = 1 << (PAST_BOUND * bound - 1).bit_length()
    rows = [dict(row) for row in await fetch(conn, page.by_walking(most), parameters.values[: page.usual])]
    if len(rows) == page.size:
        return rows
    # The caller's rows come later in the order.
    return [dict(row) for row in await fetch(conn, page.by_sources(sorting=True), parameters.values)]
