"""Requests written byte by byte, as HTTP clients do not write them."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import orjson

from crm_kit.testing import Client


async def on_the_wire(gateway: Client, request: bytes) -> tuple[int, Any]:
    """Send the bytes and read one answer. Return its status, and its JSON or else its text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.base_url).port)
    try:
        writer.write(request)
        async with asyncio.timeout(120):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
    finally:
        writer.close()
    return int(head.split()[1]), orjson.loads(body) if "json" in head else body.decode()
