"""The records that a unit of work has locked or created, and their stored values."""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from crm_kit.store.record import Record, stored_columns

R = TypeVar("R", bound=Record)


class Locked:
    """Holds one instance of each record, so that each step of a command sees the changes of the others."""

    def __init__(self) -> None:
        self._records: dict[tuple[type[Record], UUID], Record] = {}
        self._before: dict[tuple[type[Record], UUID], Mapping[str, Any]] = {}

    def get(self, entity: type[R], record_id: UUID) -> R | None:
        """Return the record if this unit of work has locked or created it."""
        return self._records.get((entity, record_id))  # type: ignore[return-value]  # the key names the type

    def adopt(self, record: R) -> R:
        """Take a record whose values are the stored ones."""
        key, values = (type(record), record.id), record.__dict__
        self._before[key] = {column: values[column] for column in stored_columns(type(record))}
        self._records[key] = record
        return record

    def add(self, record: Record) -> None:
        """Take a record that is not stored yet."""
        self._records[type(record), record.id] = record

    def drop(self, record: Record) -> None:
        """Forget a record that is no longer stored."""
        self._records.pop((type(record), record.id), None)
        self._before.pop((type(record), record.id), None)

    def before(self, record: Record) -> Mapping[str, Any] | None:
        """Return the stored values of the columns; None for a record that is not stored yet."""
        return self._before.get((type(record), record.__dict__.get("id")))  # type: ignore[arg-type]  # None finds nothing

    def differences(self, record: Record) -> list[str]:
        """Return the columns that differ from the stored values. The list is empty for a record that is not stored yet."""
        before, now = self.before(record), record.__dict__
        return [] if before is None else [column for column, old in before.items() if now[column] != old]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())


def values_of(record: Record) -> tuple[Any, ...]:
    """Return the values of all columns."""
    getter = _GETTERS.get(type(record))
    if getter is None:
        getter = _GETTERS[type(record)] = itemgetter(*stored_columns(type(record)))
    return getter(record.__dict__)


_GETTERS: dict[type[Record], Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {}
