"""The miniature service on a database of its own."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Runtime, Service
from crm_kit.testing import principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

from . import miniature
from .miniature import Box, BoxCreated, Tool, ToolCreated


@pytest.fixture(scope="session")
def service() -> Service:
    return miniature.SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return miniature.app


@pytest.fixture
def caller() -> Principal:
    return principal(tool="44444", box="44444")


def a_tool(**values: Any) -> Tool:
    lists: dict[str, list[Any]] = {"tags": [], "marks": [], "box_ids": []}
    return Tool(**{"number": f"TOO-{uuid4().hex[:8]}", "name": "a hammer", "sharp": False, **lists, **values})


async def stored(runtime: Runtime, *records: Tool | Box, by: Principal | None = None) -> None:
    """Commit records as one unit of work would."""
    async with runtime.db.begin() as conn:
        uow = UnitOfWork(runtime, by or principal(tool="44444", box="44444"), Cause("given"), conn=conn)
        for record in records:
            uow.add(record, ToolCreated if isinstance(record, Tool) else BoxCreated)
        await uow.flush()
