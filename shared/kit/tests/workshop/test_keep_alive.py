"""A connection is renewed now and then, so that load reaches new replicas."""

import aiohttp
import pytest
from fastapi import FastAPI

from crm_kit.connections import Limits
from crm_kit.testing.serving import served


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), [False, False, False, False]),
        (Limits(keep_alive_requests=2), [False, True, False, True]),
        (Limits(keep_alive_seconds=1e-6), [True, True, True, True]),
    ],
    ids=["young", "many requests", "old"],
)
async def test_an_answer_says_that_it_is_the_last_of_its_connection(limits: Limits, expected: list[bool]) -> None:
    app = FastAPI()
    app.get("/")(lambda: "here")
    last = []
    async with served(app, limits) as url, aiohttp.ClientSession(url) as session:
        for _ in expected:
            async with session.get("/") as answer:
                assert await answer.text() == '"here"'
                last.append(answer.headers.get("Connection") == "close")
    assert last == expected
