"""The references of a row: a cell names a record by its id, number, e-mail address or name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final
from uuid import UUID

from pydantic_core import PydanticCustomError

from crm_contracts.types import normal_email
from crm_kit.copies.projections import STUB_VERSION
from crm_kit.copies.referable import ReferableCopy
from crm_kit.identifiers import ASCII_FOLD
from crm_kit.importing.fields import field_kinds
from crm_kit.importing.formats import Unread
from crm_kit.importing.importer import Importer
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import Mergeable, Record
from crm_kit.store.references import records_of, references_of
from crm_kit.work.uow import UnitOfWork

MOST_NAMED: Final = 50
"""The most records that one cell names."""
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
LONGEST: Final = 401
"""The most characters of a name."""


Kind = type[Record] | type[ReferableCopy]
"""The records of this service, or the copies of those of another one."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How a column names records of one kind."""

    field: str
    """The field of the body."""
    entity: str
    """The name of the kind of record."""
    kind: Kind
    many: bool = False
    """Whether the field is a list. The cell separates names by semicolons."""
    typed: bool = False
    """Whether the field names records of several kinds, each by type and id."""

    def split(self, text: str) -> list[str]:
        """Return the names in a cell."""
        pieces = text.split(";", MOST_NAMED) if self.many else [text]
        return [stripped for piece in pieces if (stripped := piece.strip())]

    def value(self, found: Sequence[UUID]) -> Any:
        """Return the value of the field for the records that a cell names."""
        if self.many:
            return [str(one) for one in found]
        one = str(found[0]) if found else None
        return {"type": self.entity, "id": one} if self.typed else one


@lru_cache(maxsize=64)
def namings_of(importer: Importer) -> Mapping[str, Naming]:
    """Return the columns by which an import names records of its service: ``account`` for ``account_id``, ``competitors`` for
    ``competitor_ids``, ``customer.account`` and ``account`` for a ``customer`` that is an account."""
    entity, schema = importer.entity, field_kinds(importer.schema)
    kinds = {one.entity(): one for one in records_of(entity.registry)}
    declared = {column: reference.to[0] for column, reference in references_of(entity).items()}
    found: dict[str, Naming] = {}
    for field, stored in importer.refers.items():
        name = stored.entity() if issubclass(stored, Record) else declared[field]
        found[field.removesuffix("_id")] = Naming(field, name, stored)
    for reference in references_of(entity).values():
        if reference.field not in schema:
            continue
        for name in reference.to:
            if (kind := kinds.get(name)) is None:
                continue
            if reference.type_column is not None:
                naming = Naming(reference.field, name, kind, typed=True)
                found[f"{reference.field}.{name}"] = naming
                found.setdefault(name, naming)
            elif reference.many:
                found[f"{reference.field.removesuffix('_ids')}s"] = Naming(reference.field, name, kind, many=True)
            else:
                found[reference.field.removesuffix("_id")] = Naming(reference.field, name, kind)
    return {name: naming for name, naming in found.items() if name not in schema}


def address(text: str) -> str:
    """Return a text as `ASCII_FOLD` shows a stored e-mail address; a text that is no address stays as it is."""
    try:
        text = normal_email(text)
    except PydanticCustomError:
        return text
    return text.translate(_LOWER)


async def resolve(uow: UnitOfWork, entity: str, kind: Kind, texts: Sequence[str]) -> dict[str, UUID | Unread]:
    """Return what each text names among the records that the caller may read, with one statement.

    A number counts before an e-mail address, and that before a name. Records that were merged into others are not named.
    """
    found: dict[str, UUID | Unread] = {}
    asked = []
    for text in texts:
        if (known := _as_id(text)) is not None:
            found[text] = known
        elif len(text) <= LONGEST and "\x00" not in text:
            asked.append(text)
    ranked: dict[str, dict[int, list[UUID]]] = {}
    if asked:
        parameters = Parameters()
        reach = uow.reach(kind if issubclass(kind, Record) else entity).bound(parameters)
        sql = _search(kind, parameters.add(asked, "text[]"), parameters.add([address(one) for one in asked], "text[]"))
        if reach.everything or reach.owners is not None:
            conn = await uow.connection()
            sql = sql.format(reach.covers("t"))
            rows: list[Any] = list(await conn.exec_driver_sql(sql, tuple(parameters.values)))
            for position, rank, record_id in rows:
                ranked.setdefault(asked[position - 1], {}).setdefault(rank, []).append(record_id)
    if issubclass(kind, Record):
        await uow.foresee(kind, [*(one for one in found.values() if isinstance(one, UUID)), *_single(ranked)])
    words = entity.replace("_", " ")
    for text in texts:
        if text in found:
            continue
        named = next((ranked[text][rank] for rank in sorted(ranked.get(text, ()))), [])
        if len(named) == 1:
            found[text] = named[0]
        elif named:
            found[text] = Unread(
                "ambiguous-reference", f"Send the number or the id: several {words} records have this name."
            )
        else:
            found[text] = Unread(
                "unknown-reference", f"Send the number, the name or the id of {_a(words)} that you may read."
            )
    return found


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _single(ranked: Mapping[str, Mapping[int, Sequence[UUID]]]) -> list[UUID]:
    return [one for ranks in ranked.values() for named in ranks.values() if len(named) == 1 for one in named]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _search(kind: Kind, texts: str, folded: str) -> str:
    """Return the statement. Each branch finds at most two records by an index: more would be ambiguous, too."""
    columns = kind.__table__.c
    conditions = [f"t.{column} = w.text" for column in ("number",) if column in columns]
    conditions += [f"{ASCII_FOLD.format('t.email')} = w.folded" for column in ("email",) if column in columns]
    conditions += [f"t.{column} = w.text" for column in ("full_name", "name") if column in columns][:1]
    known = "" if issubclass(kind, Record) else f" and not t.deleted and t.version > {STUB_VERSION}"
    unmerged = " and t.survivor_id is null" if issubclass(kind, Mergeable) else known
    branches = " union all ".join(
        f'(select {rank} as rank, t.id from public."{kind.__tablename__}" t where {condition}{unmerged} and {{0}} limit 2)'
        for rank, condition in enumerate(conditions)
    )
    return (
        f"select w.position, r.rank, r.id from unnest({texts}, {folded}) with ordinality w (text, folded, position)"
        f" cross join lateral ({branches}) r"
    )


async def records_by_key(uow: UnitOfWork, kind: type[Record], key: str, texts: Sequence[str]) -> dict[str, list[UUID]]:
    """Return the readable records that have each of these numbers or e-mail addresses, at most two of each, with one statement.

    E-mail addresses are compared whatever their case, numbers as they are.
    """
    parameters = Parameters()
    reach = uow.reach(kind).bound(parameters)
    asked = [text for text in texts if len(text) <= LONGEST and "\x00" not in text]
    if not asked or not (reach.everything or reach.owners is not None):
        return {}
    wanted = parameters.add([address(text) if key == "email" else text for text in asked], "text[]")
    column = ASCII_FOLD.format("t.email") if key == "email" else "t.number"
    unmerged = " and t.survivor_id is null" if issubclass(kind, Mergeable) else ""
    sql = (
        f"select w.position, r.id from unnest({wanted}) with ordinality w (text, position) cross join lateral ("
        f'select t.id from public."{kind.__tablename__}" t where {column} = w.text{unmerged}'
        f" and {reach.covers('t')} limit 2) r"
    )
    found: dict[str, list[UUID]] = {}
    conn = await uow.connection()
    rows: list[Any] = list(await conn.exec_driver_sql(sql, tuple(parameters.values)))
    for position, record_id in rows:
        found.setdefault(asked[position - 1], []).append(record_id)
    return found
