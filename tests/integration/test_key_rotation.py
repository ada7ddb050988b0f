"""The signing key is rotated twice while users work: no request fails, whatever key signed their token."""

import asyncio
from collections import Counter
from itertools import cycle

import aiohttp
import jwt

from crm_kit.testing.figures import Figures
from tests.integration.suite import ADMINISTRATOR, Suite

DOORS = ("/leads?limit=1", "/tasks?limit=1", "/campaigns?limit=1", "/cases?limit=1", "/auth/me")
"""One route in each service that verifies tokens, and in the gateway."""

PACE_SECONDS = 0.01
REFRESH_SECONDS = 1.0
"""Longer than the interval that the limit of token requests from one address allows."""


class Office:
    """Users who work with all tokens that they ever got, and get a new one from time to time."""

    def __init__(self, suite: Suite, session: aiohttp.ClientSession) -> None:
        self._suite, self._session = suite, session
        self._refresh = ""
        self.tokens: dict[str, str] = {}
        """The latest token signed with each key, by the key's id."""
        self.answers: Counter[tuple[str, str, int]] = Counter()
        """How often a door answered a token of a key with a status."""
        self._news = asyncio.Condition()

    async def log_in(self) -> None:
        password = self._suite.environment["CRM_ADMIN_PASSWORD"]
        await self._grant(grant_type="password", username=ADMINISTRATOR, password=password)

    async def refresh_on(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._grant(grant_type="refresh_token", refresh_token=self._refresh)

    async def _grant(self, **form: str) -> None:
        async with self._session.post("/api/v1/auth/token", data=form) as answer:
            body = await answer.json()
            assert answer.status == 200, body
        self._refresh = body["refresh_token"]
        async with self._news:
            self.tokens[jwt.get_unverified_header(body["access_token"])["kid"]] = body["access_token"]
            self._news.notify_all()

    async def until_keys(self, number: int) -> None:
        """Wait until tokens of this many keys are in use."""
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: len(self.tokens) >= number)

    async def work_on(self) -> None:
        for door in cycle(DOORS):
            for kid, token in list(self.tokens.items()):
                headers = {"authorization": f"Bearer {token}"}
                async with self._session.get(f"/api/v1{door}", headers=headers) as answer:
                    await answer.read()
                self.answers[door, kid, answer.status] += 1
                await asyncio.sleep(PACE_SECONDS)

    async def until_all_doors_know(self, kids: set[str]) -> None:
        """Wait until every service was called with a token of every key. The workers check the condition."""
        async with asyncio.timeout(120):
            while {(door, kid) for door, kid, _ in self.answers} != {(d, k) for d in DOORS for k in kids}:  # noqa: ASYNC110  # progress of the others
                await asyncio.sleep(0.05)


async def test_two_rotations_fail_no_request(suite: Suite, figures: Figures) -> None:
    async with aiohttp.ClientSession(suite.gateway) as session:
        office = Office(suite, session)
        await office.log_in()
        work = [asyncio.create_task(act()) for act in (office.work_on, office.work_on, office.refresh_on)]
        try:
            for keys in (2, 3):
                printed = await asyncio.to_thread(suite.crm, "keys", "rotate")
                assert "is published and signs in 8 s" in printed
                await office.until_keys(keys)
            await office.until_all_doors_know(set(office.tokens))
        finally:
            for task in work:
                task.cancel()
            ended = await asyncio.gather(*work, return_exceptions=True)
    assert [end for end in ended if not isinstance(end, asyncio.CancelledError)] == []
    failed = {answered: times for answered, times in office.answers.items() if answered[2] != 200}
    figures(requests=office.answers.total(), keys=len(office.tokens), failed=sum(failed.values()))
    assert failed == {}
