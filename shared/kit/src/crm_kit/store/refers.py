"""What a column refers to, declared beside the column by the record that refers.

From these declarations follow the check of new references, what keeps a record from being deleted, what moves when one
is merged, and ``x-reference`` in the OpenAPI document.
"""

from typing import Any, Final

from sqlalchemy import Column, ForeignKey, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import MappedColumn, mapped_column
from sqlalchemy.schema import SchemaItem

ANY: Final = "*"
"""Stands for records of every kind."""
KEY: Final = "refers"
PARTS: Final = "refers_in_parts"


def refers(*entities: str) -> dict[str, Any]:
    """The ``info`` of a column with the id of a record of another service, or of one of several kinds of record; a column
    ``<x>_type`` says which kind stands in ``<x>_id``."""
    return {KEY: entities}


def ids_in(field: str) -> dict[str, str]:
    """The ``info`` of a column that the database fills with the ids in a list of parts. By it the parts are found that refer to
    a record."""
    return {PARTS: field}


def reference(
    entity: str,
    *more: SchemaItem,
    table: str | None = None,
    ondelete: str | None = None,
    use_alter: bool = False,
    **column: Any,
) -> MappedColumn[Any]:
    """A column with the id of a record of the same service, guarded by a foreign key. ``table`` is named where the table is
    not called like the entity."""
    key = ForeignKey(f"{table or entity}.id", ondelete=ondelete, use_alter=use_alter)
    return mapped_column(key, *more, info=refers(entity), **column)


def references(entity: str, **column: Any) -> MappedColumn[Any]:
    """A column with an array of ids."""
    return mapped_column(ARRAY(Uuid), info=refers(entity), **column)


def parts_of(column: Column[Any]) -> str | None:
    """The list of parts whose ids a column has; None for other columns."""
    found: str | None = column.info.get(PARTS)
    return found


def declared(column: Column[Any]) -> tuple[str, ...] | None:
    """The entities that a column is declared to refer to; None when it is not declared to refer to anything."""
    found: tuple[str, ...] | None = column.info.get(KEY)
    return found
