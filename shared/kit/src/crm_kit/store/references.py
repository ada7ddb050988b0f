"""What the records of a service refer to, as their columns declare it (``crm_kit.store.refers``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import registry

from crm_kit.store.record import Record
from crm_kit.store.refers import ANY, declared
from crm_kit.store.searching import is_kept


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a record, or an array of ids, that refers to other records."""

    entity: type[Record]
    column: str
    to: tuple[str, ...]
    many: bool
    guarded: bool
    """Whether a foreign key guards it."""

    @property
    def field(self) -> str:
        """The field that shows it: a reference to records of several kinds is an object with type and id."""
        return self.column if self.type_column is None else self.column.removesuffix("_id")

    @property
    def type_column(self) -> str | None:
        """The column that says of which kind the record is, where it may be of several."""
        name = f"{self.column.removesuffix('_id')}_type"
        return name if name in self.entity.__table__.c else None


def references_of(entity: type[Record]) -> Mapping[str, Reference]:
    """What an entity refers to, by column. A computed column repeats another one, for a foreign key of the database."""
    known = _REFERENCES.get(entity)
    if known is None:
        known = _REFERENCES[entity] = {
            str(column.key): Reference(
                entity, str(column.key), to, isinstance(column.type, ARRAY), bool(column.foreign_keys)
            )
            for column in entity.__table__.c
            if not is_kept(column) and (to := declared(column)) is not None
        }
    return known


_REFERENCES: dict[type[Record], Mapping[str, Reference]] = {}


def records_of(models: registry) -> list[type[Record]]:
    """The kinds of record of a service, by name."""
    classes = (mapper.class_ for mapper in models.mappers)
    return sorted((one for one in classes if issubclass(one, Record)), key=lambda one: one.entity())


def checked_references_of(entity: type[Record]) -> Sequence[tuple[Reference, type[Record]]]:
    """The references of an entity to one kind of record of its own service, each with that kind, by the names of the kinds.

    Made once: an import asks for each of its rows.
    """
    known = _CHECKED.get(entity)
    if known is None:
        kinds = {one.entity(): one for one in records_of(entity.registry)}
        in_order = sorted(references_of(entity).values(), key=lambda one: (one.to, one.column))
        known = _CHECKED[entity] = [
            (found, kinds[found.to[0]]) for found in in_order if len(found.to) == 1 and found.to[0] in kinds
        ]
    return known


_CHECKED: dict[type[Record], Sequence[tuple[Reference, type[Record]]]] = {}


def referring_to(models: registry, entity: str) -> Iterator[Reference]:
    """Whatever refers to records of an entity, in the service of these models."""
    for one in records_of(models):
        yield from (found for found in references_of(one).values() if entity in found.to or ANY in found.to)
