"""A user whose client follows the documentation: time limits, Idempotency-Keys, and retries where they can help."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.integration.suite import Person

PATIENCE_SECONDS = 120
TRY = aiohttp.ClientTimeout(total=6)
AGAIN = frozenset({502, 503, 504})


@dataclass
class Patient(Person):
    """A user who retries while a service is unavailable."""

    async def send(
        self, method: str, path: str, body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a request that takes effect once, however often it has to be sent."""
        sent = {**({"Crm-After": self.after} if self.after else {}), **(headers or {})}
        if method == "POST":
            sent["Idempotency-Key"] = secrets.token_hex(16)
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        unclear = False
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    async with self.session.request(
                        method, f"/api/v1{path}", headers=sent, data=body, timeout=TRY
                    ) as answer:
                        text = await answer.text()
                except (aiohttp.ClientError, TimeoutError):
                    unclear = True
                    await asyncio.sleep(0.1)
                    continue
                found: dict[str, Any] = json.loads(text) if text else {}
                if answer.status in AGAIN or found.get("type") == "/problems/in-progress":
                    unclear = True
                    await asyncio.sleep(0.1)
                    continue
                if answer.status == 412 and unclear and status != 412:
                    # The version condition of an edit without an answer fails if that edit was carried out.
                    return await self.send("GET", path)
                assert answer.status == status, f"{method} {path}: {answer.status} {text[:1000]}"
                self.after = answer.headers.get("Crm-Version", self.after)
                self.location = answer.headers.get("Location", "")
                return found
