"""An entity is declared once, beside its contract. Lists of entities follow from the declarations."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import PUBLISHERS, Entity, all_entities, change_of, events_about
from crm_contracts.records import OwnedRecord as OwnedModel
from crm_contracts.types import LongText
from crm_gateway.routes import IMPORTING, upstream_of
from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Service
from crm_kit.store.record import OwnedRecord
from crm_kit.testing.databases import settings_for

CHECKOUT = Path(__file__).resolve().parents[2]
DECLARATIONS = CHECKOUT / "shared/contracts/src"
REGISTRY = 10
"""Maximum number of entities in one literal. A view or a story is about a few. A longer list would need every new
entity."""
# Tests of the kit declare entities of services that only they have.
OURS = [entity for entity in all_entities() if entity.service in PUBLISHERS]
WORDS = {word for entity in OURS for word in (entity.name, entity.collection)}


def python_files() -> list[Path]:
    folders = ("bench", "deploy", "services", "shared", "tests")
    found = (path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))
    return sorted(path for path in found if not path.is_relative_to(DECLARATIONS))


def registries(source: str) -> Iterator[int]:
    """Return the lines of literals that name many entities."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.List | ast.Set | ast.Tuple):
            parts = node.elts
        else:
            continue
        named = {part.value for part in parts if isinstance(part, ast.Constant) and part.value in WORDS}
        if len(named) >= REGISTRY:
            yield node.lineno


def test_a_service_stores_exactly_the_entities_that_are_declared_for_it(service: Service) -> None:
    stored = {entity.entity(): entity for entity in service.entities}
    declared = {entity.name: entity for entity in OURS if entity.service == service.name}
    assert stored.keys() == declared.keys()
    for name, entity in declared.items():
        assert stored[name].record_model is entity.record
        assert issubclass(stored[name], OwnedRecord) == entity.owned == issubclass(entity.record, OwnedModel)


def tables_named(source: str) -> Iterator[str]:
    """Return the tables that a module declares on the base of its service. A view has another base."""
    for declared in ast.walk(ast.parse(source)):
        if isinstance(declared, ast.ClassDef) and "Base" in map(ast.unparse, declared.bases):
            for line in declared.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__tablename__":
                    yield ast.literal_eval(line.value)


def test_every_table_of_a_service_is_found(service: Service, package: str) -> None:
    """A table in a module that nothing imports would get no migration."""
    [folder] = CHECKOUT.glob(f"services/*/src/{package}")
    named = {name: path for path in folder.rglob("*.py") for name in tables_named(path.read_text())}
    assert {str(path) for name, path in named.items() if name not in service.metadata.tables} == set()


def test_a_planted_table_is_named() -> None:
    assert list(tables_named('class Lost(Base):\n    __tablename__ = "lost"\n')) == ["lost"]


def test_a_service_answers_the_paths_of_its_entities(service: Service, make_app: Callable[[Settings], FastAPI]) -> None:
    paths = make_app(settings_for(service, "postgresql://nowhere/nothing")).openapi()["paths"]
    for entity in (one for one in OURS if one.service == service.name):
        path = f"/api/v1/{entity.collection}"
        assert (path in paths) != entity.announcement, entity.name
        assert upstream_of(path) == (None if entity.announcement else service.name)


def test_the_gateway_knows_which_services_import(service: Service, make_app: Callable[[Settings], FastAPI]) -> None:
    paths = make_app(settings_for(service, "postgresql://nowhere/nothing")).openapi()["paths"]
    imports = any(path.endswith("/import") for path in paths)
    assert ("/api/v1/imports" in paths) == imports or service.name == "gateway"
    assert (service.name in IMPORTING) == imports


def test_what_an_owner_has_is_found_and_can_be_given_to_another(service: Service) -> None:
    for entity in (one for one in service.entities if issubclass(one, OwnedRecord)):
        first = {next(iter(index.columns)).name for index in entity.__table__.indexes if len(index.columns)}
        assert "owner_id" in first, entity.entity()
        given = change_of(service.name, entity.entity(), "assigned")
        assert {"previous_owner", "new_owner"} <= given.model_fields.keys()


@pytest.mark.parametrize("entity", OURS, ids=lambda entity: entity.name)
def test_a_declaration_names_fields_that_there_are(entity: Entity) -> None:
    fields = entity.record.model_fields
    if isinstance(entity.named, str) and not entity.announcement:
        assert entity.named in fields
    assert not entity.kinds or "kind" in fields
    for event in events_about(entity):
        facts = event.model_fields.keys() - {"record", "changed"}
        assert set(event.timeline) <= facts, event.type
        assert event.headline is None or event.headline in event.timeline, event.type
        assert not [name for name in event.timeline if event.model_fields[name].annotation == LongText], event.type


def test_nothing_lists_entities_by_hand() -> None:
    found = [f"{path.relative_to(CHECKOUT)}:{line}" for path in python_files() for line in registries(path.read_text())]
    assert found == []


def test_a_planted_registry_is_found() -> None:
    names = sorted(entity.name for entity in OURS)[:REGISTRY]
    assert list(registries(f"\nTITLES = {dict.fromkeys(names, 'x')!r}")) == [2]
    assert list(registries(f"\nTITLES = {names!r}")) == [2]
    assert list(registries(f"\nSOME = {names[1:]!r}")) == []
