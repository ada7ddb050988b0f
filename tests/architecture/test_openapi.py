"""Every service documents its API completely."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.http.openapi import routes_of
from crm_kit.process.runtime import Service
from crm_kit.records.listing import Listing
from crm_kit.store.references import references_of
from crm_kit.testing.databases import settings_for

Document = dict[str, Any]
PUBLIC = {
    "identity": {"create_token", "revoke_token", "list_keys"},
    "activities": {"read_calendar"},
    "gateway": {"log_in", "get_session", "log_out"},
}
"""Operations without a token: get a token, revoke one, and read the keys that verify tokens; log in and out by cookie."""
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(make_app: Callable[[Settings], FastAPI], service: Service) -> Document:
    return make_app(settings_for(service, "postgresql://nowhere/nothing")).openapi()


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield path, method, operation


def test_every_operation_is_named_verb_entity_and_once(document: Document) -> None:
    found = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(found) == len(set(found))
    assert [name for name in found if name.count("_") < 1 or name != name.lower()] == []


def test_every_operation_says_what_it_does(document: Document) -> None:
    assert [op["operationId"] for _, _, op in operations(document) if not op.get("description")] == []


def test_every_field_is_described(document: Document) -> None:
    undescribed = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description") and "const" not in described
    ]
    assert undescribed == []


def test_every_parameter_but_ids_in_paths_is_described(document: Document) -> None:
    undescribed = [
        f"{operation['operationId']}: {parameter['name']}"
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["in"] != "path" and not parameter.get("description")
    ]
    assert undescribed == []


def test_every_problem_is_documented_as_one(document: Document) -> None:
    wrong = [
        f"{operation['operationId']} {status}"
        for _, _, operation in operations(document)
        for status, response in operation["responses"].items()
        if status >= "400" and list(response.get("content", {})) != ["application/problem+json"]
    ]
    assert wrong == []


def test_every_operation_takes_a_token_or_says_that_it_does_not_need_one(document: Document, service: Service) -> None:
    open_to_all = {
        operation["operationId"] for _, _, operation in operations(document) if not operation.get("security")
    }
    assert open_to_all == PUBLIC.get(service.name, set())


def test_a_patch_requires_no_member_and_has_no_defaults(document: Document) -> None:
    """A generated client would send a default, and so reset fields that it did not mean to change."""
    schemas, waiting = document["components"]["schemas"], []
    for _, method, operation in operations(document):
        if method == "patch":
            waiting += [media["schema"]["$ref"] for media in operation["requestBody"]["content"].values()]
    found = {reference.rpartition("/")[2]: schemas[reference.rpartition("/")[2]] for reference in waiting}
    assert {name: schema["required"] for name, schema in found.items() if "required" in schema} == {}
    members = {f"{name}.{key}": value for name, s in found.items() for key, value in s["properties"].items()}
    assert [name for name, member in members.items() if "default" in member] == []


def test_examples_are_given_for_every_create(document: Document) -> None:
    missing = []
    for path, method, operation in operations(document):
        if method != "post" or "{" in path or "201" not in operation["responses"]:
            continue
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = content["schema"]
            model = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            if media == "application/json" and not model.get("examples") and not content.get("examples"):
                missing.append(operation["operationId"])
    assert missing == []


def test_every_reference_says_what_it_refers_to(document: Document, service: Service) -> None:
    schemas = document["components"]["schemas"]
    shown = {
        (name, field): described["x-reference"]
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if "x-reference" in described
    }
    if service.name == "sales":
        assert shown["LeadQualification", "account_id"] == ["account"], "the body of an action may be left out"
    for entity in service.entities:
        fields = entity.record_model.model_fields.keys()
        read = [name for name, schema in schemas.items() if schema.get("properties", {}).keys() >= {*fields, "id"}]
        for found in references_of(entity).values():
            if found.field in fields:
                assert [shown.get((name, found.field)) for name in read] == [list(found.to)] * len(read), found


LISTING = ("list_records", "history")
"""What a route calls to answer a list whose parameters it reads itself."""


def test_every_list_declares_the_parameters_of_what_answers_it(
    make_app: Callable[[Settings], FastAPI], service: Service, document: Document
) -> None:
    app = make_app(settings_for(service, "postgresql://nowhere/nothing"))
    declared = {
        op["operationId"]: {one["name"] for one in op.get("parameters", [])} for _, _, op in operations(document)
    }
    checked = 0
    for name, route in routes_of(app).items():
        code, known = route.endpoint.__code__, route.endpoint.__globals__
        if not set(LISTING) & set(code.co_names):
            continue
        listing = next((known[one] for one in code.co_names if isinstance(known.get(one), Listing)), None)
        wanted = {"limit", "after"}
        if listing is not None:
            wanted |= {"sort", "fields", "count", *listing.filterable.fields, *(["q"] if listing.search else [])}
        assert declared[name] >= wanted, name
        checked += 1
    assert checked or not service.entities
