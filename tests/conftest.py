"""The services of the suite, for tests of all of them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Service
from tests.node.tools import Node, installed

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(found.parent.name for found in CHECKOUT.glob("services/*/src/crm_*/__init__.py"))
"""Every service's package, found on disk, so that all tests include a new one."""


def service_of(package: str) -> Service:
    """Return the package's definition for the kit."""
    found: Service = import_module(f"{package}.app").SERVICE
    return found


def app_of(package: str) -> Callable[[Settings], FastAPI]:
    """Return the function that makes the package's app."""
    make: Callable[[Settings], FastAPI] = import_module(f"{package}.main").app
    return make


@pytest.fixture(scope="session")
def node() -> Node:
    """The tools of tests/node, installed on first use."""
    return installed()


@pytest.fixture(scope="session", params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    """Each service's package in turn."""
    name: str = request.param
    return name


# Per module: a fixture kept for the session would use another module's ``package``, where a module defines its own.


@pytest.fixture(scope="module")
def service(package: str) -> Service:
    return service_of(package)


@pytest.fixture(scope="module")
def make_app(package: str) -> Callable[[Settings], FastAPI]:
    return app_of(package)
