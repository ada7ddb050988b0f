"""What a service declares for an entity that can be imported."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from crm_kit.store.record import OwnedRecord
from crm_kit.work.uow import UnitOfWork

Make = Callable[[UnitOfWork, Any], Awaitable[OwnedRecord]]


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
    """The importer of an entity.

    ``make`` turns a validated body into a record, as a create does, but does not add it to the unit of work. ``duplicates`` finds
    those of a chunk's records that likely exist already. Without it, no record counts as a duplicate.
    """

    entity: type[OwnedRecord]
    schema: type[BaseModel]
    event: Any
    make: Make
    duplicates: FindDuplicates | None = None
