"""Calls to identity's token endpoint in the name of a browser."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.proxy.refusing import makes_no_sense, refusal
from crm_gateway.proxy.upstream import Upstream, Upstreams
from crm_kit import clock
from crm_kit.work.announcing import Cause

IDENTITY: Final = "identity"
GRANT_SECONDS: Final = 5.0
"""Time limit of a log-in or a log-out. A password takes a good part of a second to verify."""
REFRESH_SECONDS: Final = 12.0
"""Time limit of a refresh. Whoever waits for it waits less: if its answer were lost, so would be the session."""


@dataclass(frozen=True, slots=True)
class Whence:
    """The request of a browser: identity counts by its address, and people recognise their sessions by it."""

    address: str
    user_agent: str
    language: str
    cause: Cause

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What identity is told of it."""
        told = [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-forwarded-for", self.address),
            ("crm-correlation-id", self.cause.correlation_id),
        ]
        told += [("user-agent", self.user_agent)] if self.user_agent.isascii() and self.user_agent else []
        told += [("accept-language", self.language)] if self.language.isascii() and self.language else []
        return told + ([("traceparent", self.cause.traceparent)] if self.cause.traceparent else [])


@dataclass(frozen=True, slots=True)
class Granted:
    """What identity granted: an access token, and the refresh token for the next one."""

    session_id: UUID
    access_token: str
    refresh_token: str
    fresh_until: datetime
    expires_at: datetime

    @classmethod
    def of(cls, told: Mapping[str, Any], now: datetime, before: "Granted | None" = None) -> "Granted":
        """Read an answer of the token endpoint. Raises KeyError, TypeError or ValueError if it is none.

        The previous release of identity does not tell the session and its end. A refresh keeps those from ``before``.
        """
        if before is None or "session_id" in told:
            session_id = UUID(told["session_id"])
            expires_at = now + timedelta(seconds=int(told["refresh_expires_in"]))
        else:
            session_id, expires_at = before.session_id, before.expires_at
        fresh_until = now + timedelta(seconds=int(told["expires_in"]))
        return cls(session_id, str(told["access_token"]), str(told["refresh_token"]), fresh_until, expires_at)


class Granting:
    """Asks identity for tokens."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def by_password(self, email: str, password: str, whence: Whence) -> Granted:
        """Log in. Raises identity's problem, or what says that it cannot be reached."""
        form = {"grant_type": "password", "username": email, "password": password}
        return await self._grant(form, whence, GRANT_SECONDS, None)

    async def by_refresh(self, before: Granted, whence: Whence) -> Granted:
        """Continue a session, in the same way. ``invalid-grant`` means that it has ended."""
        form = {"grant_type": "refresh_token", "refresh_token": before.refresh_token}
        return await self._grant(form, whence, REFRESH_SECONDS, before)

    async def revoke(self, refresh_token: str, whence: Whence) -> None:
        """End a session. Raises as the others do."""
        await self._post("/api/v1/auth/revoke", {"token": refresh_token}, whence, GRANT_SECONDS)

    async def _grant(self, form: Mapping[str, str], whence: Whence, seconds: float, before: Granted | None) -> Granted:
        now, body = clock.now(), await self._post("/api/v1/auth/token", form, whence, seconds)
        try:
            return Granted.of(orjson.loads(body), now, before)
        except (KeyError, TypeError, ValueError):
            raise makes_no_sense(IDENTITY, "no tokens") from None

    async def _post(self, path: str, form: Mapping[str, str], whence: Whence, seconds: float) -> bytes:
        upstream = self._upstream
        told = await upstream.send(path, whence.headers, urlencode(form).encode(), seconds)
        if told.status != 200:
            raise refusal(IDENTITY, told)
        return told.body

    @property
    def _upstream(self) -> Upstream:
        upstream = self._upstreams.get(IDENTITY)
        if upstream is None:
            raise Unavailable(said("The service '{service}' is not part of this installation.", service=IDENTITY))
        return upstream
