"""Every reference to a record is declared at its column.

An undeclared reference would not be checked, would not prevent deletion, and would not move after a merge.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from uuid import UUID

import pytest
from sqlalchemy import Column, ForeignKey, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_contracts.catalogue import entity_for
from crm_kit.store.columns import TYPE_MAP, service_metadata
from crm_kit.store.record import Mergeable, Record
from crm_kit.store.references import records_of, references_of
from crm_kit.store.refers import ANY, declared, reference, references

SERVICES = ("sales", "identity", "activities", "marketing", "service_mgmt", "insights")
"""Services with models. The gateway has no records."""
NO_REFERENCES = {"id", "owner_id", "business_unit_id", "survivor_id", "principal_id", "recipient_id"} | {
    "message_id",
    "thread_id",
    "content_id",
}
"""Fields of every record: its own id, its owner, and its survivor. And the principals of a removal, which must not prevent it.
And ids of mails, of parts of mails and of conversations, which name no record."""


def base_of(service: str) -> type[DeclarativeBase]:
    """Return the base of a service's models, all of them loaded."""
    import_module(f"crm_{service}.tables")
    base: type[DeclarativeBase] = import_module(f"crm_{service}.db").Base
    return base


def refers_unsaid(tables: Iterable[Table]) -> Iterator[str]:
    """Return foreign keys and arrays of ids that are not declared, or are declared for another table."""
    for table in tables:
        for column in table.c:
            to = declared(column)
            if (column.foreign_keys or _is_list(column)) and to is None:
                yield f"{table.name}.{column.name} is not declared"
            for key in column.foreign_keys:
                target = key.target_fullname.partition(".")[0].removesuffix("_account")
                if to is not None and to != (target,):
                    yield f"{table.name}.{column.name} is declared to refer to {to}, and refers to {target}"


def _is_list(column: Column[object]) -> bool:
    return isinstance(column.type, ARRAY) and isinstance(column.type.item_type, Uuid)


@pytest.mark.parametrize("service", SERVICES)
def test_every_foreign_key_and_every_list_of_ids_is_declared(service: str) -> None:
    assert list(refers_unsaid(base_of(service).metadata.tables.values())) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_id_in_a_record_is_declared(service: str) -> None:
    for entity in records_of(base_of(service).registry):
        ids = {str(c.key) for c in entity.__table__.c if c.key.endswith("_id") and c.computed is None}
        if "business_unit_id" in references_of(entity):
            ids.add("business_unit_id")
        assert ids - NO_REFERENCES <= references_of(entity).keys(), entity


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_referred_to_exists_and_what_refers_has_a_name(service: str) -> None:
    for entity in records_of(base_of(service).registry):
        for found in references_of(entity).values():
            assert all(name == ANY or entity_for(name) for name in found.to), found
            assert len(found.to) == 1 != (ANY in found.to) or found.type_column, found
            assert entity.called is None or entity.called in entity.__table__.c, entity


@pytest.mark.parametrize("service", SERVICES)
def test_no_list_of_ids_names_what_may_be_merged(service: str) -> None:
    """Ids in lists do not move to a survivor."""
    mergeable = {one.entity() for one in records_of(base_of("sales").registry) if issubclass(one, Mergeable)}
    lists = [one for kind in records_of(base_of(service).registry) for one in references_of(kind).values() if one.many]
    assert [one for one in lists if mergeable & {*one.to}] == []


class Planted(DeclarativeBase):
    metadata = service_metadata()
    type_annotation_map = TYPE_MAP


class Shelf(Record, Planted):
    __tablename__ = "shelf"


class Book(Record, Planted):
    __tablename__ = "book"

    shelf_id: Mapped[UUID] = reference("shelf")
    earlier_ids: Mapped[list[UUID]] = references("book")
    forgotten_id: Mapped[UUID] = mapped_column(ForeignKey("shelf.id"))
    forgotten_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    mistaken_id: Mapped[UUID] = reference("book", table="shelf")


def test_a_reference_that_is_not_declared_is_caught() -> None:
    assert sorted(refers_unsaid(Planted.metadata.tables.values())) == [
        "book.forgotten_id is not declared",
        "book.forgotten_ids is not declared",
        "book.mistaken_id is declared to refer to ('book',), and refers to shelf",
    ]
