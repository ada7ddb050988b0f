"""Reads a page of rows in the order of the name of a record to which they refer: of the customer, or of the owner.

The name is not in the row, so that a renamed record moves at once, and a name that the caller may not read orders nothing.
Rows without a readable name come last in both directions.

There are two ways, as in ``crm_kit.records.pages``. If the caller reaches few rows, these rows are joined with their names and
sorted. Otherwise the index of the names is read in order, with the rows of each name. It finds a page soon, because there are
more rows than the bound.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.records.filtering import Asking, NameTable
from crm_kit.records.pages import KEY, LEAST, PAST_BOUND, Page
from crm_kit.store.database import fetch
from crm_kit.store.parameters import Parameters
from crm_kit.store.searching import sort_key

NAMED: Final = "the_named"

Position = Sequence[Any]
"""Key in base64, id of the named record, ``created_at`` and id of a row."""


@dataclass(frozen=True, slots=True)
class NameOrder:
    """The order by the name of a record in one of ``tables``. Rows of one name are ordered by its record, and rows of one
    record by ``created_at`` and id."""

    name: str
    tables: tuple[NameTable, ...]
    descending: bool

    @property
    def way(self) -> str:
        """The direction as SQL."""
        return "desc" if self.descending else "asc"

    @property
    def sql(self) -> str:
        """The ORDER BY list of rows that have their key."""
        way = self.way
        return f"{KEY} {way} nulls last, {NAMED} {way} nulls last, created_at {way}, id {way}"

    @property
    def nulls(self) -> str:
        """Where an index of names has its nulls."""
        return "nulls last" if self.descending else "nulls first"

    @property
    def sign(self) -> str:
        """The comparison of a row after a position with the position."""
        return "<" if self.descending else ">"


@dataclass(frozen=True, slots=True)
class NamePages:
    """A page in the order of a name. ``pages`` say what is read; several have different reaches. ``given`` are the parameters of
    their conditions, and ``narrowing`` these with the parameters of ``Page.narrow``."""

    pages: tuple[Page, ...]
    order: NameOrder
    after: Position | None
    asking: Asking
    rows: str
    """SQL for the size of the table."""
    given: tuple[Any, ...]
    narrowing: tuple[Any, ...]

    async def read(self, conn: AsyncConnection) -> list[dict[str, Any]]:
        """Return the rows, each with ``KEY`` and ``NAMED``."""
        sql, parameters = self._by_counting()
        found = [dict(row) for row in await fetch(conn, sql, parameters.values)]
        bound, count = found[0]["the_bound"], found[0]["the_count"]
        if count <= bound:
            return [row for row in found if row["id"] is not None]
        if self.after is not None and self.after[0] is None:
            return await self._sorted(conn)
        most: int = 1 << (PAST_BOUND * bound - 1).bit_length()
        size, walked = self.pages[0].size, []
        for table in self.order.tables:
            sql, parameters = self._by_walking(table, most)
            rows = [dict(row) for row in await fetch(conn, sql, parameters.values)]
            if len(rows) < size and not await self._is_whole(conn, table, most):
                # The caller's rows have names that come later.
                return await self._sorted(conn)
            walked += rows
        if len(self.order.tables) > 1:
            walked.sort(key=_position, reverse=self.order.descending)
        if len(walked) >= size:
            return walked[:size]
        return walked + (await self._sorted(conn, only_nameless=True))[: size - len(walked)]

    async def _sorted(self, conn: AsyncConnection, *, only_nameless: bool = False) -> list[dict[str, Any]]:
        sql, parameters = self._by_sorting(only_nameless=only_nameless)
        return [dict(row) for row in await fetch(conn, sql, parameters.values)]

    def _by_counting(self) -> tuple[str, Parameters]:
        """SQL for the page, if no more rows than the bound are reached. There is at least one row, which has the bound and the
        count. Its id is null if there is no row of the page."""
        parameters = _with(self.narrowing)
        first = self.pages[0]
        sizes = " + ".join([self.rows, *(_size_of(table) for table in self.order.tables)])
        parts = [
            f"(select t.id from {source} cross join lateral (select t.id from {page.table} t"
            f" where {_where(match, page.narrow, *page.conditions)} limit (select most + 1 from bound)) t"
            " limit (select most + 1 from bound))"
            if source
            else f"(select t.id from {page.table} t where {_where(match, page.narrow, *page.conditions)}"
            " limit (select most + 1 from bound))"
            for page in self.pages
            for source, match in page.reach.sources
        ]
        some = self._page("t.id in (select id from reached) and (select the_count <= the_bound from told)", parameters)
        return (
            f"with bound as materialized (select ceil(greatest({LEAST}, sqrt({first.limit} * ({sizes}))))::bigint as most),"
            f" reached as materialized ({' union '.join(parts)}),"
            " told as materialized (select most as the_bound, (select count(*) from reached) as the_count from bound)"
            f" select told.*, p.* from told left join ({some}) p on true order by {self.order.sql}",
            parameters,
        )

    def _by_walking(self, table: NameTable, most: int) -> tuple[str, Parameters]:
        """SQL for the rows of the next ``most`` names of a table."""
        parameters = _with(self.given)
        first, order = self.pages[0], self.order
        names = self._names(table, most, parameters)
        rest = ""
        if self.after is not None:
            _, named, at, record_id = self.after
            later = f"(t.created_at, t.id) {order.sign} ({_at(at, record_id, parameters)})"
            rest = f"(n.{NAMED} <> {parameters.add(UUID(named), 'uuid')} or {later})"
        readable = table.readable("n", parameters, self.asking)
        of_name = _where(f"t.{table.column} = n.{NAMED}", rest, self._readable_rows())
        return (
            f"select {first.columns}, {KEY}, {NAMED} from (select {KEY}, {NAMED} from ({names}) n where {readable}) n"
            f" cross join lateral (select {first.columns} from {first.table} t where {of_name}"
            f" order by t.created_at {order.way}, t.id {order.way} limit {first.limit}) t"
            # As the names are ordered, so that each name is read only when the page needs it.
            f" order by {KEY} {order.way} {order.nulls}, {NAMED} {order.way}, created_at {order.way}, id {order.way}"
            f" limit {first.limit}"
        ), parameters

    def _names(self, table: NameTable, most: int, parameters: Parameters) -> str:
        """SQL for the next ``most`` names of a table with all of its columns."""
        key, order = sort_key(f"n.{table.name}"), self.order
        behind = ""
        if self.after is not None:
            place = (
                f"({parameters.add(b64decode(self.after[0]), 'bytea')}, {parameters.add(UUID(self.after[1]), 'uuid')})"
            )
            behind = f"({key}, n.id) {order.sign}= {place}"
        return (
            f'select n.*, {key} as {KEY}, n.id as {NAMED} from public."{table.table}" n'
            f" where {_where(f'{key} is not null', behind)}"
            f" order by {key} {order.way} {order.nulls}, n.id {order.way} limit {most}"
        )

    async def _is_whole(self, conn: AsyncConnection, table: NameTable, most: int) -> bool:
        """Whether the next ``most`` names of a table are all that are left."""
        parameters = Parameters()
        sql = f"select count(*) from ({self._names(table, most, parameters)}) n"
        [[count]] = await fetch(conn, sql, parameters.values)
        return bool(count < most)

    def _by_sorting(self, *, only_nameless: bool = False) -> tuple[str, Parameters]:
        """SQL for a page of all rows that are reached, or of those without a name."""
        parameters = _with(self.narrowing)
        where = _where(self.pages[0].narrow, self._readable_rows())
        return self._page(where, parameters, only_nameless=only_nameless), parameters

    def _page(self, where: str, parameters: Parameters, *, only_nameless: bool = False) -> str:
        first = self.pages[0]
        names = " union all ".join(
            f'select {sort_key(f"n.{table.name}")} as {KEY}, n.id as {NAMED} from public."{table.table}" n'
            f" where n.id = t.{table.column} and n.{table.name} is not null"
            f" and {table.readable('n', parameters, self.asking)}"
            for table in self.order.tables
        )
        behind = _where(*self._behind(parameters, only_nameless=only_nameless))
        return (
            f"select {first.columns}, n.{KEY}, n.{NAMED} from {first.table} t left join lateral ({names}) n on true"
            f" where {_where(where, behind)} order by n.{KEY} {self.order.way} nulls last, n.{NAMED} {self.order.way} nulls last,"
            f" t.created_at {self.order.way}, t.id {self.order.way} limit {first.limit}"
        )

    def _behind(self, parameters: Parameters, *, only_nameless: bool) -> Iterator[str]:
        """Yield the conditions of rows after the position."""
        nameless = f"n.{KEY} is null"
        if self.after is None or (only_nameless and self.after[0] is not None):
            if only_nameless:
                yield nameless
            return
        key, named, at, record_id = self.after
        moment = _at(at, record_id, parameters)
        if key is None:
            yield nameless
            yield f"(t.created_at, t.id) {self.order.sign} ({moment})"
            return
        at_name = f"{parameters.add(b64decode(key), 'bytea')}, {parameters.add(UUID(named), 'uuid')}"
        yield f"((n.{KEY}, n.{NAMED}, t.created_at, t.id) {self.order.sign} ({at_name}, {moment}) or {nameless})"

    def _readable_rows(self) -> str:
        """The condition on rows that one of the pages has."""
        return f"({' or '.join(_where(page.reach.covers(), *page.conditions) for page in self.pages)})"


def position_of(row: dict[str, Any]) -> list[Any]:
    """Return the position of a row in the order."""
    named = row[NAMED]
    key = None if named is None else b64encode(row[KEY]).decode()
    return [key, None if named is None else str(named), row["created_at"].isoformat(), str(row["id"])]


def _position(row: dict[str, Any]) -> tuple[bytes, UUID, datetime, UUID]:
    return row[KEY], row[NAMED], row["created_at"], row["id"]


def _at(at: str, record_id: str, parameters: Parameters) -> str:
    return f"{parameters.add(at, 'text')}::timestamptz, {parameters.add(UUID(record_id), 'uuid')}"


def _with(values: Sequence[Any]) -> Parameters:
    parameters = Parameters()
    parameters.values.extend(values)
    return parameters


def _size_of(table: NameTable) -> str:
    return f"""(select greatest(reltuples, 0) from pg_class where oid = 'public."{table.table}"'::regclass)"""


def _where(*conditions: str) -> str:
    return " and ".join(f"({one})" if " or " in one else one for one in conditions if one) or "true"
