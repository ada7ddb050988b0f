"""Every projection declares its copies. Undeclared copies would be neither compared nor rebuilt."""

from importlib import import_module

from crm_contracts.catalogue import all_entities
from crm_contracts.identity import ACCESS_CHANGE
from crm_kit.process.runtime import Service

BESIDE_RECORDS = {ACCESS_CHANGE}
"""Announcements. The rows made from them are deleted within minutes."""


def test_each_projection_names_its_tables(service: Service, package: str) -> None:
    tables = service.metadata.tables
    for group in import_module(f"{package}.consumers").CONSUMERS.groups.values():
        if group.kind == "step":
            assert not group.copies
        elif group.each_event:
            assert group.journal is not None
            assert {"record_id", "id", "at", "type"} <= set(tables[group.journal.table].columns.keys())
        else:
            assert {entity for copies in group.copies for entity in copies.entities} == group.entities - BESIDE_RECORDS
            for copies in group.copies:
                wanted = {"id", "version", "deleted", *filter(None, [copies.kind])}
                assert wanted <= set(tables[copies.table].columns.keys())


def test_a_service_has_a_table_for_each_entity_that_it_publishes(service: Service) -> None:
    published = {entity.name for entity in all_entities() if entity.service == service.name}
    assert published <= {entity.entity() for entity in service.entities}
