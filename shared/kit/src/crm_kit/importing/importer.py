"""What a service tells of an entity that can be imported."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from crm_kit.db import OwnedRecord
from crm_kit.uow import UnitOfWork

Make = Callable[[UnitOfWork, Any], Awaitable[OwnedRecord]]


@dataclass(frozen=True, slots=True)
class Importer:
    """``make`` turns a checked body into a record, as a create does, but does not add it to the unit of work."""

    entity: type[OwnedRecord]
    schema: type[BaseModel]
    event: Any
    make: Make
    identities: tuple[str, ...] = ()
    """Columns in which an equal value makes two records likely duplicates, such as email and phone."""
