"""Lists sort texts that people read as people expect, by an index of that order."""

from importlib import import_module

import pytest
from sqlalchemy import Enum, String, Text

from crm_kit.records.listing import Listing
from crm_kit.store.listed import list_of
from crm_kit.store.references import records_of
from tests.architecture.test_references import SERVICES, base_of

CODES: dict[str | tuple[str, str], str] = {
    "number": "numbers that the service gives have no case",
    "email": "a log-in is kept in small letters of ASCII",
    "event_type": "types of events are words of a contract",
    ("CustomType", "name"): "names for programs are ASCII in small letters",
}
"""Columns of text that are sorted as they are, with the reason; of one entity, if it is named."""


@pytest.mark.parametrize("service", SERVICES)
def test_texts_that_people_read_are_sorted_as_they_expect(service: str) -> None:
    import_module(f"crm_{service}.main")
    for entity in records_of(base_of(service).registry):
        listing = list_of(entity)
        if not isinstance(listing, Listing):
            continue
        for name in listing.sortable:
            column = entity.__table__.c[listing.filterable.columns[name][0]]
            if (
                isinstance(column.type, String | Text)
                and not isinstance(column.type, Enum)
                and not CODES.keys() & {name, (entity.__name__, name)}
            ):
                assert listing.tables.read_by_people(column.key), f"{entity.__name__}.{name} needs name_indexes"
