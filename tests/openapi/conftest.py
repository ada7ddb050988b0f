"""The merged OpenAPI document of all services, as the gateway answers it."""

from pathlib import Path
from typing import Any

import pytest

from crm_gateway.documents.openapi import finish, merge
from crm_gateway.documents.texts import briefly
from crm_gateway.settings import GatewaySettings
from crm_kit.configuration.settings import Settings
from crm_kit.store.presenter import to_json
from tests.conftest import PACKAGES, app_of, service_of

Document = dict[str, Any]
NOTHING = {"CRM_SECRET": "s", "DATABASE_URL": "postgresql://nowhere/nothing"}


@pytest.fixture(scope="session")
def whole() -> Document:
    """The document with all its texts, as people see it. Do not change it: the tests share it."""
    documents = {}
    for package in PACKAGES:
        name = service_of(package).name
        kind = GatewaySettings if name == "gateway" else Settings
        documents[name] = app_of(package)(kind.model_validate({**NOTHING, "CRM_SERVICE": name})).openapi()
    return finish(merge(documents.pop("gateway"), documents, []))


@pytest.fixture(scope="session")
def document(whole: Document) -> Document:
    """The document for programs. Do not change it: the tests share it."""
    return briefly(whole)


@pytest.fixture(scope="session")
def document_file(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_bytes(to_json(document))
    return path
