"""The lists of a service's records, as their declarations describe them (``crm_kit.records.listing``)."""

from collections.abc import Mapping
from typing import Protocol

from crm_contracts.filters import FilterField
from crm_kit.store.record import Record


class Listed(Protocol):
    """What a list can do."""

    @property
    def sorts(self) -> tuple[str, ...]:
        """The fields that it sorts by."""
        ...

    @property
    def search(self) -> str | None:
        """The column that ``q`` searches, if it has a search."""
        ...

    @property
    def default_sort(self) -> str:
        """Its order unless a caller asks for another."""
        ...

    def filters(self) -> Mapping[str, FilterField]:
        """Return the fields that it filters by."""
        ...


_LISTS: dict[type[Record], Listed] = {}


def declare_list(entity: type[Record], listed: Listed) -> None:
    """Keep the declaration of an entity's list."""
    _LISTS[entity] = listed


def list_of(entity: type[Record]) -> Listed | None:
    """Return the declaration of an entity's list; None if its records are not listed."""
    return _LISTS.get(entity)
