"""A program that was made from the document alone works with the gateway."""

import asyncio
from pathlib import Path

import aiohttp

from tests.integration.suite import ADMINISTRATOR, Suite
from tests.node.tools import Node
from tests.openapi.test_generators import compile_client


async def test_a_typescript_program_sells(suite: Suite, node: Node, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    async with aiohttp.ClientSession() as session, session.get(f"{suite.gateway}/openapi.json") as answer:
        document.write_bytes(await answer.read())
    program = await asyncio.to_thread(compile_client, node, document, tmp_path)
    password = suite.environment["CRM_ADMIN_PASSWORD"]
    said = await asyncio.to_thread(node.run, program, suite.gateway, ADMINISTRATOR, password, cwd=tmp_path)
    assert said.startswith("won ")
