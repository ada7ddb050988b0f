"""Filters, searches, sorts and pages lists, and checks access to their rows. All lists use it, so that they behave alike."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Numeric, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP
from starlette.requests import Request
from starlette.responses import Response

from crm_contracts.access import Privilege
from crm_contracts.filters import (
    MAX_TERMS,
    RESERVED,
    Filter,
    FilterError,
    FilterField,
    looks_inside,
    parse_filter,
    parse_query_params,
)
from crm_contracts.sentences import said
from crm_contracts.types import form
from crm_kit.access.reach import Reach
from crm_kit.errors import DomainError, FieldError, Forbidden
from crm_kit.folding import Word, words_of
from crm_kit.records.answers import items
from crm_kit.records.answers import page as page_of
from crm_kit.records.cursor import Cursors
from crm_kit.records.filtering import Asking, Below, Filterable, Named, NameTable, Virtual, filterable
from crm_kit.records.name_order import NameOrder, NamePages, position_of
from crm_kit.records.pages import Order, Page, Tables, read_page
from crm_kit.store.listed import declare_list, list_of
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import (
    Mergeable,
    Record,
    stored_columns,
)
from crm_kit.work.calendar import today, zone
from crm_kit.work.uow import UnitOfWork

MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_SEARCH = 200
MAX_PARAMETERS = MAX_TERMS + len(RESERVED)
LONGEST = {"q": MAX_SEARCH, "sort": 100, "after": 4000, "fields": 2000}
"""The most characters of a parameter's value."""


class Query(BaseModel):
    """A request of a list with a JSON filter, which supports and, or, and not."""

    model_config = ConfigDict(extra="forbid")

    filter: dict[str, Any] | None = Field(
        None,
        description="JSON filter: `{field, op, value}`, `{all: […]}`, `{any: […]}`, `{not: …}`; depth ≤ 5, terms ≤ 50.",
        examples=[{"all": [{"field": "created_at", "op": "gte", "value": "2026-01-01T00:00:00Z"}]}],
    )
    q: str | None = Field(None, max_length=MAX_SEARCH, description="Text to find.")
    sort: str | None = Field(
        None, max_length=LONGEST["sort"], description="One sortable field; `-` in front for descending."
    )
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="Records per page, 1 to 200.")
    after: str | None = Field(None, max_length=LONGEST["after"], description="`next` of the page before.")
    count: str | None = Field(
        None,
        pattern=form("^exact$", "Send count=exact, or leave it out."),
        description="`exact` counts all matches, which takes longer.",
    )
    fields: str | None = Field(None, max_length=LONGEST["fields"], description="Comma-separated fields to return.")


@dataclass(frozen=True)
class Listing:
    """The capabilities of an entity's list. ``sortable`` names JSON fields; each is indexed together with id."""

    entity: type[Record]
    sortable: tuple[str, ...] = ("created_at",)
    search: str | None = None
    """The column with the folded text that ``q`` searches. It has a trigram index."""
    parties: tuple[NameTable, ...] = ()
    """Records to which a row refers, and by whose text ``q`` finds the row as well. Their tables have a search column."""
    virtual: Mapping[str, Virtual | Below | Named] = field(default_factory=dict)
    default_sort: str = "-created_at"
    ranks: Mapping[str, str] = field(default_factory=dict)
    """Fields whose words are sorted by meaning (low, normal, high), with the generated column of the word's rank."""
    kinds: Mapping[str, type[Record]] | None = None
    """If ``entity`` is a view of several entities: these entities, by the value of the column ``type``. Each needs its own
    privilege."""

    def __post_init__(self) -> None:
        declare_list(self.entity, self)

    def filters(self) -> Mapping[str, FilterField]:
        """The fields by which the list can be filtered, with their types."""
        return self.filterable.fields

    @cached_property
    def filterable(self) -> Filterable:
        """The fields by which the list can be filtered."""
        return filterable(self.entity, self.virtual)

    @cached_property
    def sorts(self) -> tuple[str, ...]:
        """The fields that it sorts by: ``sortable``, and the names of records to which its rows refer."""
        names = (name for name, one in self.filterable.virtual.items() if isinstance(one, Named))
        return (*self.sortable, *names)

    @cached_property
    def columns(self) -> str:
        """The select list."""
        return ", ".join(f"t.{column}" for column in (*stored_columns(self.entity), *self.ranks.values()))

    @property
    def table(self) -> str:
        """The table's name as SQL. It is quoted, because an entity may be called order or case."""
        return f'public."{self.entity.__tablename__}"'

    @cached_property
    def tables(self) -> Tables:
        """The tables of the rows, which know their indexes."""
        return Tables(tuple(self.kinds.values()) if self.kinds else (self.entity,))

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that ``fields=`` may name."""
        return frozenset(self.entity.record_model.model_fields) | {"allowed_actions"}


def searchable(entities: Sequence[type[Record]]) -> list[Listing]:
    """Return the lists of these entities that can be searched."""
    lists = (list_of(entity) for entity in entities)
    return [one for one in lists if isinstance(one, Listing) and one.search is not None]


async def list_records(uow: UnitOfWork, listing: Listing, request: Request) -> Response:
    """Return a page for ``GET /{collection}`` from the parameters of the query string.

    Raises 400 ``invalid-parameter``, ``invalid-filter`` and ``invalid-cursor``, 403, and the errors of ``uow.reads``.
    """
    pairs = request.query_params.multi_items()
    if len(pairs) > MAX_PARAMETERS:
        raise _refused(
            "filter", "too-many-parameters", said("A list takes at most {most} parameters.", most=MAX_PARAMETERS)
        )
    given = dict(pairs)
    if len(given) != len(pairs):
        doubled = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        message = "Send each parameter once. Send several values as name[in]=a,b."
        raise _refused(doubled[:100], "doubled-parameter", message)
    limit = given.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= MAX_PAGE):
        raise _refused("limit", "invalid-value", said("Send a number from 1 to {most} as limit.", most=MAX_PAGE))
    try:
        tree = parse_query_params(pairs, listing.filterable.fields)
    except FilterError as error:
        raise _filter_problem(error) from None
    if given.get("count", "exact") != "exact":
        raise _refused("count", "invalid-value", "count can only be 'exact'.")
    wanted = Query.model_construct(
        q=given.get("q"),
        sort=given.get("sort"),
        limit=int(limit),
        after=given.get("after"),
        count=given.get("count"),
        fields=given.get("fields"),
    )
    for name, longest in LONGEST.items():
        if len(given.get(name, "")) > longest:
            raise _refused(
                name, "invalid-value", said("{name} has at most {longest} characters.", name=name, longest=longest)
            )
    return await _answer(uow, listing, wanted, tree)


async def query_records(uow: UnitOfWork, listing: Listing, query: Query) -> Response:
    """Return a page for ``POST /{collection}/query`` with a JSON filter. Raises as ``list_records`` does."""
    tree = None
    if query.filter is not None:
        try:
            tree = parse_filter(query.filter, listing.filterable.fields, "/filter")
        except FilterError as error:
            raise _filter_problem(error) from None
    return await _answer(uow, listing, query, tree)


async def _answer(uow: UnitOfWork, listing: Listing, query: Query, tree: Filter | None) -> Response:
    reaches = _reaches(uow, listing)
    order = _order(listing, query.sort or listing.default_sort)
    only = _only(listing, query.fields)
    parameters = Parameters()
    conditions = _conditions(uow, listing, query, tree, parameters)
    filtered = len(parameters.values)
    scope = _scope(uow, listing, query, order, conditions, parameters)
    cursors = cursors_of(uow)
    after = None if query.after is None else cursors.read(query.after, scope)
    branches = [""]
    if after is not None and isinstance(order, Order):
        branches = order.follows(after, parameters)
    limit = parameters.add(query.limit + 1, "int")
    reached = [(_of_kinds(kinds, parameters), reach.bound(parameters)) for reach, kinds in reaches.items()]
    usual = len(parameters.values)
    narrow = _narrow(uow, listing, query, parameters)
    pages = [
        Page(
            listing.table,
            listing.columns,
            order if isinstance(order, Order) else _by(listing, "created_at"),
            (*of_kinds, *conditions),
            tuple(branches),
            bound,
            query.limit + 1,
            limit,
            bool(query.q),
            narrow,
            usual,
        )
        for of_kinds, bound in reached
    ]

    async def read_rows() -> list[dict[str, Any]]:
        conn = await uow.connection()
        if isinstance(order, Order):
            return await read_page(conn, pages, listing.tables, parameters)
        values = tuple(parameters.values)
        named = NamePages(tuple(pages), order, after, asking(uow), listing.tables.size, values[:usual], values)
        return await named.read(conn)

    async def read() -> tuple[list[dict[str, Any]], int | None]:
        rows = await read_rows()
        if not query.count:
            return rows, None
        return rows, await _count(uow, listing, query, reaches, conditions, parameters.values[:filtered])

    if _is_slow(listing, query, tree):
        async with uow.reads.slowly(NARROWER):
            rows, count = await read()
    else:
        rows, count = await uow.reads.quickly(read, NARROWER)
    following = None
    if len(rows) > query.limit:
        rows.pop()
        following = cursors.write(_place(order, rows[-1]), scope)
    return page_of(await items(uow, listing.entity, rows, only, listing.kinds), following, count)


def _is_slow(listing: Listing, query: Query, tree: Filter | None) -> bool:
    """Whether no index limits the work, because the query counts, or searches within texts without the trigram index."""
    if query.count or (tree is not None and looks_inside(tree, listing.filterable.fields)):
        return True
    return bool(query.q) and is_slow_text(str(query.q))


def is_slow_text(q: str) -> bool:
    """Whether no index finds a text: an index of trigrams knows letters and digits only."""
    return not any(map(str.isalnum, q))


def check_text(q: str) -> None:
    """Refuse a text to find that PostgreSQL does not take. Raises 400 ``invalid-parameter``."""
    if "\x00" in q:
        raise _refused("q", "invalid-value", "q must not contain U+0000.")


NARROWER: Final = (
    "Filter by status, owner_id or created_at as well, look for longer pieces of text, or leave out count=exact."
)


def _reaches(uow: UnitOfWork, listing: Listing) -> dict[Reach, list[str]]:
    """Return the reaches of the caller, each with the entities of a view that it applies to. Raises 403 if there are none."""
    if listing.kinds is None:
        uow.principal.require(listing.entity.entity(), Privilege.READ)
        return {uow.reach(listing.entity): []}
    reaches: dict[Reach, list[str]] = {}
    for name, kind in listing.kinds.items():
        if not (reach := uow.reach(kind)).nothing:
            reaches.setdefault(reach, []).append(name)
    if not reaches:
        raise Forbidden(Privilege.READ.value, listing.entity.entity())
    return reaches


def _of_kinds(kinds: list[str], parameters: Parameters) -> list[str]:
    return [f"t.type = any({parameters.add(kinds, 'text[]')})"] if kinds else []


def _conditions(
    uow: UnitOfWork, listing: Listing, query: Query, tree: Filter | None, parameters: Parameters
) -> list[str]:
    conditions = _living(listing.entity)
    if tree is not None:
        conditions.append(listing.filterable.compile(tree, parameters, asking(uow)))
    if query.q:
        if listing.search is None:
            raise _refused("q", "invalid-parameter", "This list has no text search.")
        check_text(query.q)
        words = words_of(query.q)
        # A text of separators only is in no record.
        if words and listing.parties:
            texts = [f"t.{listing.search}", *(party.text(parameters, asking(uow)) for party in listing.parties)]
            conditions += [_contains(f"({' || '.join(texts)})", word, parameters) for word in words]
        else:
            conditions += [_contains(f"t.{listing.search}", word, parameters) for word in words] or ["false"]
    return conditions


MOST_PARTIES: Final = 10_000
"""The number of customers with a word of a search whose documents are looked at, unless the documents are found sooner."""


def _narrow(uow: UnitOfWork, listing: Listing, query: Query, parameters: Parameters) -> str:
    """Return the condition that narrows a search to rows that indexes find: those with the words, and those that refer to a
    record with one of the words. Empty if the search needs none."""
    words = words_of(query.q) if query.q and listing.parties else []
    if not words:
        return ""
    own = " and ".join(_contains(f"o.{listing.search}", word, parameters) for word in words)
    found = [f"select o.id from {listing.table} o where {own}"]
    for party in listing.parties:
        any_word = " or ".join(_contains(f"n.{listing.search}", word, parameters) for word in words)
        where = f"({any_word}) and {party.readable('n', parameters, asking(uow))}"
        of = f'select n.id from public."{party.table}" n where {where} limit {MOST_PARTIES}'
        found.append(f"select o.id from ({of}) n join {listing.table} o on o.{party.column} = n.id")
    return f"t.id in ({' union '.join(found)})"


def asking(uow: UnitOfWork) -> Asking:
    """Return what a filter of this caller depends on."""
    return Asking(today(uow), zone(uow), uow.reach, uow.principal.id)


def _contains(column: str, word: Word, parameters: Parameters) -> str:
    ways = [" and ".join(f"{column} like {parameters.add(one, 'text')}" for one in patterns) for patterns in word]
    return ways[0] if len(ways) == 1 else f"({' or '.join(f'({way})' for way in ways)})"


def _living(entity: type[Record]) -> list[str]:
    """Return the condition that excludes records that were merged into others."""
    return ["t.survivor_id is null"] if issubclass(entity, Mergeable) else []


async def _count(
    uow: UnitOfWork,
    listing: Listing,
    query: Query,
    reaches: Mapping[Reach, list[str]],
    conditions: list[str],
    values: list[Any],
) -> int:
    parameters = Parameters()
    parameters.values.extend(values)
    reached = [
        " and ".join([*_of_kinds(kinds, parameters), reach.bound(parameters).covers()])
        for reach, kinds in reaches.items()
    ]
    narrow = _narrow(uow, listing, query, parameters)
    where = " and ".join(filter(None, [f"({' or '.join(reached)})", narrow, *conditions]))
    sql = f"select count(*) from {listing.table} t where {where}"
    conn = await uow.connection()
    return int((await conn.exec_driver_sql(sql, tuple(parameters.values))).scalar_one())


async def readable_after(
    uow: UnitOfWork, listing: Listing, position: Sequence[Any] | None, size: int
) -> list[dict[str, Any]]:
    """Return the next ``size`` rows after a position (``created_at``, ``id``) that the caller may read, oldest first.

    Use it to read a whole table in parts. Raises 403.
    """
    order, parameters = _by(listing, "created_at"), Parameters()
    branches = [""] if position is None else order.follows(position, parameters)
    uow.principal.require(listing.entity.entity(), Privilege.READ)
    reach, limit = uow.reach(listing.entity).bound(parameters), parameters.add(size, "int")
    page = Page(
        listing.table, listing.columns, order, tuple(_living(listing.entity)), tuple(branches), reach, size, limit
    )
    return await read_page(await uow.connection(), [page], listing.tables, parameters)


async def newest_with(uow: UnitOfWork, listing: Listing, q: str, size: int) -> list[dict[str, Any]]:
    """Return the newest rows, at most ``size``, that the caller may read and that ``q`` finds. A caller without the privilege
    gets none."""
    reach = uow.reach(listing.entity)
    if reach.nothing:
        return []
    query, order, parameters = Query.model_construct(q=q, limit=size), _by(listing, "-created_at"), Parameters()
    conditions = _conditions(uow, listing, query, None, parameters)
    bound, limit = reach.bound(parameters), parameters.add(size, "int")
    usual = len(parameters.values)
    narrow = _narrow(uow, listing, query, parameters)
    page = Page(
        listing.table, listing.columns, order, tuple(conditions), ("",), bound, size, limit, bool(q), narrow, usual
    )
    return await read_page(await uow.connection(), [page], listing.tables, parameters)


def _order(listing: Listing, sort: str) -> Order | NameOrder:
    name = sort.removeprefix("-")
    if name not in listing.sorts:
        raise _refused(
            "sort",
            "invalid-sort",
            said("Sort by one of: {allowed}; '-' in front reverses.", allowed=", ".join(listing.sorts)),
        )
    match listing.filterable.virtual.get(name):
        case Named() as named if name not in listing.sortable:
            return NameOrder(name, named.tables, sort.startswith("-"))
    return _by(listing, sort)


def _by(listing: Listing, sort: str) -> Order:
    name = sort.removeprefix("-")
    column = listing.ranks.get(name) or _in_base(listing.entity, listing.filterable.columns[name][0])
    found = listing.entity.__table__.c[column]
    read = listing.tables.read_by_people(column)
    return Order(name, column, _cast(found.type), sort.startswith("-"), bool(found.nullable), read)


def _in_base(entity: type[Record], column: str) -> str:
    """Return the amount in the base currency, if there is one: amounts of several currencies have no order of their own."""
    base = f"{column.removesuffix('_amount')}_base_amount"
    return base if column.endswith("_amount") and base in entity.__table__.c else column


def _cast(kind: Any) -> str:
    match kind:
        case TIMESTAMP():
            return "timestamptz"
        case Numeric():
            return "numeric"
        case Uuid():
            return "uuid"
    return {"DATE": "date", "INTEGER": "int", "SMALLINT": "int", "BOOLEAN": "boolean"}.get(str(kind), "text")


def _place(order: Order | NameOrder, row: dict[str, Any]) -> list[Any]:
    if isinstance(order, NameOrder):
        return position_of(row)
    return [_position(row[order.column]), str(row["id"])]


def _position(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _only(listing: Listing, fields: str | None) -> frozenset[str] | None:
    if fields is None:
        return None
    only = frozenset(name.strip() for name in fields.split(",") if name.strip())
    unknown = sorted(only - listing.fields)
    if unknown or not only:
        allowed = ", ".join(sorted(listing.fields))
        raise _refused(
            "fields",
            "unknown-field",
            said("Unknown: {shown}; allowed: {allowed}.", shown=", ".join(unknown)[:200], allowed=allowed),
        )
    return only | {"id"}


def _scope(
    uow: UnitOfWork,
    listing: Listing,
    query: Query,
    order: Order | NameOrder,
    conditions: list[str],
    parameters: Parameters,
) -> bytes:
    """Return a hash of the list, the caller, the sort order and the filter, to which cursors are bound."""
    given = [*conditions, *map(repr, parameters.values)]
    return scope_of(listing.entity.entity(), str(uow.principal.id), order, given)


def scope_of(entity: str, caller: str, order: Order | NameOrder, given: Sequence[str]) -> bytes:
    """Return the hash of what a cursor is bound to. It stays the same from release to release, or clients lose their place."""
    # The SQL of an order by column names the column. That of an order by the name of another record does not name the record.
    ordered = [order.name, order.sql] if isinstance(order, NameOrder) else [order.sql]
    return hashlib.sha256("\0".join([entity, caller, *ordered, *given]).encode()).digest()


def cursors_of(uow: UnitOfWork) -> Cursors:
    """Return the cursors of this process."""
    extras = uow.runtime.extras
    if "cursors" not in extras:
        extras["cursors"] = Cursors(uow.runtime.settings.secret.get_secret_value())
    cursors: Cursors = extras["cursors"]
    return cursors


def _refused(parameter: str, code: str, message: str) -> DomainError:
    return DomainError("invalid-parameter", message, (FieldError(parameter, code, message),))


def _filter_problem(error: FilterError) -> DomainError:
    return DomainError("invalid-filter", error.message, (FieldError(error.pointer, error.code, error.message),))
