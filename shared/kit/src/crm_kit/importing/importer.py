"""What a service declares for an entity that can be imported."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from crm_kit.copies.referable import ReferableCopy
from crm_kit.records.patch import Patch
from crm_kit.store.record import OwnedRecord, Record
from crm_kit.work.uow import UnitOfWork

Make = Callable[[UnitOfWork, Any], Awaitable[OwnedRecord]]
Change = Callable[[UnitOfWork, UUID, Any], Awaitable[OwnedRecord]]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record of a chunk, by its position, that likely exists already. ``field`` shows it.

    ``earlier`` is the position of a similar record earlier in the chunk; None if the similar record is stored.
    """

    position: int
    field: str
    earlier: int | None = None


FindDuplicates = Callable[[UnitOfWork, Sequence[OwnedRecord]], Awaitable[Sequence[Duplicate]]]


@dataclass(frozen=True, slots=True)
class Importer:
    """The importer of an entity. Its routes, and everything that an import can do, follow from it."""

    entity: type[OwnedRecord]
    schema: type[BaseModel]
    event: Any
    make: Make
    """Turns a validated body into a record, as a create does, but does not add it to the unit of work."""
    duplicates: FindDuplicates | None = None
    """Finds those of a chunk's records that likely exist already. Without it, no record counts as a duplicate."""
    patch: type[Patch] | None = None
    """The merge patch of a row that changes a record; None if imports only make records."""
    change: Change | None = None
    """Applies such a patch to a record, as a PATCH does."""
    refers: Mapping[str, type[Record] | type[ReferableCopy]] = field(default_factory=dict, hash=False)
    """Fields that refer to records and are no columns of the entity, each with the kind of record; and references to records of
    other services, each with the copy that has their numbers and names."""
    about: str = ""
    """What its route says beside what all imports have in common."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields by which a row can find the record that it changes."""
        if self.change is None or self.patch is None:
            return ()
        return tuple(name for name in ("number", "email") if name in self.entity.__table__.c)
