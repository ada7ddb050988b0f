"""Every unique constraint names its fields, in every service."""

from collections.abc import Callable

from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Service
from crm_kit.testing.databases import settings_for
from crm_kit.testing.unique import met_by_clients
from crm_kit.work.violations import pointer_of, unique_keys

TRIED = {"activities", "identity", "sales"}
"""The tests of these services send each unique value twice (``test_unique_values.py``)."""


def test_what_must_be_unique_names_fields_that_a_record_shows(service: Service) -> None:
    for entity in service.entities:
        for name, columns in unique_keys(entity).items():
            assert columns, f"{name} is over an expression: say with unique_over what it is about"
            for column in columns:
                field = pointer_of(entity, column).split("/")[1]
                assert field in entity.record_model.model_fields, f"{name}: {entity.entity()} shows no {field}"


def test_whoever_takes_such_a_value_from_a_client_tries_it(
    make_app: Callable[[Settings], FastAPI], service: Service
) -> None:
    openapi = make_app(settings_for(service, "postgresql://nowhere/nothing")).openapi()
    assert bool(met_by_clients(service.entities, openapi)) == (service.name in TRIED)
