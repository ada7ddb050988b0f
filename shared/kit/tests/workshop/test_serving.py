"""How tests serve an app."""

import socket

import aiohttp
from starlette.types import Receive, Scope, Send

from crm_kit.testing.serving import served


async def test_an_answer_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    seen = list[bool]()

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        accepted = receive.__self__.transport.get_extra_info("socket")  # type: ignore[attr-defined]  # uvicorn's
        seen.append(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with served(look) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 204
    assert seen == [True]
