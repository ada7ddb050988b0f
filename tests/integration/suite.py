"""The whole suite as `crm up` runs it, on temporary servers, and a user of it."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

CHECKOUT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
"""Time limit of background work on a busy machine."""
HOP_SECONDS = 30
ADMINISTRATOR = "ada.admin@example.org"


@dataclass(frozen=True)
class Suite:
    """A running suite and its first administrator."""

    status: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def gateway(self) -> str:
        return str(self.status["gateway_url"])

    def crm(self, *command: str) -> str:
        """Run a `crm` command on this suite. Return its output."""
        return _crm(self.environment, *command)

    def crm_fails(self, *command: str) -> str:
        """Run a `crm` command that must fail. Return its error output."""
        done = _run(self.environment, *command)
        assert done.returncode != 0, f"crm {' '.join(command)} succeeded: {done.stdout[-3000:]}"
        return done.stderr


def _crm(environment: Mapping[str, str], *command: str) -> str:
    done = _run(environment, *command)
    assert done.returncode == 0, (
        f"crm {' '.join(command)}: {done.stderr[-3000:]}{done.stdout[:6000]} … {done.stdout[-3000:]}"
    )
    return done.stdout


def _run(environment: Mapping[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "crm_local", *command],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@contextmanager
def running(home: Path, port: int, servers: Any, told: Mapping[str, str] | None = None) -> Iterator[Suite]:
    """Start a suite with its own home and port, and stop it at the end. ``told`` are additional variables."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("CRM_")},
        "CRM_HOME": str(home),
        "CRM_GATEWAY_PORT": str(port),
        "CRM_ADMIN_EMAIL": ADMINISTRATOR,
        "CRM_ADMIN_PASSWORD": secrets.token_urlsafe(16),
        "CRM_VALIDATE_EVENTS": "1",
        "CRM_KEY_INTRODUCTION_SECONDS": "8",
        # A machine can pause for seconds, and no request of a test may time out because of it.
        "CRM_HOP_SECONDS": str(HOP_SECONDS),
        "CRM_TOTAL_SECONDS": str(2 * HOP_SECONDS),
        "DATABASE_URL": servers.database_url,
        "AMQP_URL": servers.amqp_url,
        **(told or {}),
    }
    if servers.amqp_management_url:
        environment["AMQP_MANAGEMENT_URL"] = servers.amqp_management_url
    _crm(environment, "up", "--detach")
    try:
        yield Suite(json.loads(_crm(environment, "status", "--json")), environment)
    finally:
        _crm(environment, "down")


@dataclass
class Person:
    """A user of the gateway. Their reads include their own writes."""

    session: aiohttp.ClientSession
    after: str = ""

    @classmethod
    async def log_in(cls, suite: Suite, email: str, password: str) -> "Person":
        """Log in and get a token."""
        session = aiohttp.ClientSession(suite.gateway)
        form = {"grant_type": "password", "username": email, "password": password}
        async with session.post("/api/v1/auth/token", data=form) as answer:
            assert answer.status == 200, await answer.text()
            token = (await answer.json())["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        return cls(session)

    async def send(
        self, method: str, path: str, body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a request whose answer must have ``status``. It is repeated while data are not projected yet."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found, problem = await self._send(method, path, body, status=status, headers=headers)
                if problem != "/problems/not-yet-projected":
                    return found

    async def _send(
        self, method: str, path: str, body: Any, *, status: int, headers: Mapping[str, str] | None
    ) -> tuple[dict[str, Any], str | None]:
        sent = {**({"Crm-After": self.after} if self.after else {}), **(headers or {})}
        data = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body} if body is not None else {}
        async with self.session.request(method, f"/api/v1{path}", headers=sent, **data) as answer:
            text = await answer.text()
            if answer.status == 503 != status and "/problems/not-yet-projected" in text:
                return {}, "/problems/not-yet-projected"
            assert answer.status == status, f"{method} {path}: {answer.status} {text[:1000]}"
            self.after = answer.headers.get("Crm-Version", self.after)
            self.location = answer.headers.get("Location", "")
            found: dict[str, Any] = json.loads(text) if text else {}
            return found, None

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()
