"""Converts broken constraints to problems: they name the unique field, the invalid reference, or the referring records.

Commands check these rules before they write. Only the database can enforce them, because two requests may check at the same time.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from crm_contracts.sentences import entity_word, said
from crm_kit.errors import DomainError, FieldError, UnknownReference
from crm_kit.store.columns import UNIQUE_OVER
from crm_kit.store.record import Record
from crm_kit.store.references import references_of
from crm_kit.store.refers import declared
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use

UNIQUE: Final = "23505"
FOREIGN_KEY: Final = "23503"


async def violation(error: BaseException, uow: UnitOfWork | None) -> DomainError | None:
    """Return the problem for a constraint of the service's records that a unit of work has broken; None for any other error.

    ``uow`` is closed. The problem is 409 ``already-exists`` with a pointer to each field that must be unique, 409 ``in-use`` with
    ``references`` if other records refer to a removed one, or 422 ``unknown-reference`` with its pointer if a record refers to a
    deleted one.
    """
    cause = _cause_of(error)
    if cause is None or uow is None:
        return None
    entity = next((one for one in uow.runtime.entities if one.__tablename__ == cause.table_name), None)
    if entity is None:
        return None
    if cause.sqlstate == UNIQUE:
        columns = unique_keys(entity).get(cause.constraint_name)
        return None if columns is None else _already_exists(entity, columns)
    key = _foreign_keys(entity).get(cause.constraint_name)
    if key is None:
        return None
    for record in uow.removed:
        if record.__tablename__ == key.referred_table.name:
            return await _in_use(uow, record)
    [column, *_] = key.columns
    kinds = declared(column) or (key.referred_table.name,)
    return UnknownReference(pointer_of(entity, str(column.key)), kinds[0])


def breaks_a_constraint(error: BaseException) -> bool:
    """Return whether an error is a broken constraint of uniqueness or of a reference, whichever way the statement was sent."""
    return _cause_of(error) is not None


def unique_keys(entity: type[Record]) -> Mapping[str, tuple[str, ...]]:
    """Return the columns of each unique constraint or index of an entity, by its name, without the primary key."""
    known = _UNIQUE.get(entity)
    if known is None:
        keys = (*entity.__table__.constraints, *entity.__table__.indexes)
        known = _UNIQUE[entity] = {name: columns for key in keys for name, columns in _key(key)}
    return known


_UNIQUE: dict[type[Record], Mapping[str, tuple[str, ...]]] = {}


def pointer_of(entity: type[Record], column: str) -> str:
    """Return the JSON pointer of a column's value in a record."""
    found = references_of(entity).get(column)
    if found is None or found.type_column is None:
        return f"/{column}"
    return f"/{found.field}/id"


def _key(key: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(key, UniqueConstraint) or (isinstance(key, Index) and key.unique):
        name = _preparer().format_index(key) if isinstance(key, Index) else _preparer().format_constraint(key)
        yield (name or "").strip('"'), tuple(key.info.get(UNIQUE_OVER) or (str(column.key) for column in key.columns))


def _foreign_keys(entity: type[Record]) -> Mapping[str, ForeignKeyConstraint]:
    keys = entity.__table__.foreign_key_constraints
    return {(_preparer().format_constraint(key) or "").strip('"'): key for key in keys}


def _preparer() -> Any:
    return postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its constructor untyped


def _cause_of(error: BaseException) -> Any:
    """Return the driver's error of a broken constraint, with its state, table and name, or None."""
    found: Any = error.orig if isinstance(error, DBAPIError) else None
    while found is not None and not hasattr(found, "constraint_name"):
        found = found.__cause__
    return found if found is not None and found.sqlstate in (UNIQUE, FOREIGN_KEY) else None


def _already_exists(entity: type[Record], columns: tuple[str, ...]) -> DomainError:
    kind = entity_word(entity.entity())
    if len(columns) == 1:
        message = said("Send another value: another {kind} has this value.", kind=kind)
    else:
        message = said("Send another value: another {kind} has these values together.", kind=kind)
    return DomainError(
        "already-exists",
        message,
        tuple(FieldError(pointer_of(entity, one), "already-exists", message) for one in columns),
    )


async def _in_use(closed: UnitOfWork, record: Record) -> DomainError:
    """Return the problem that lists the referring records, after the removal was rolled back."""
    uow = UnitOfWork(closed.runtime, closed.principal, closed.cause)
    try:
        await refuse_in_use(uow, record)
    except DomainError as found:
        return found
    finally:
        await uow.close()
    # The referring records were deleted meanwhile.
    return DomainError(
        "in-use", "Other records refer to this one. Change or delete them first.", members={"references": []}
    )
