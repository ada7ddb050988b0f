"""The people who use the gateway, and the events that their actions cause in timelines."""

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from crm_kit import clock

API = "/api/v1"
PATIENCE_SECONDS = 60


class Refused(Exception):
    """The gateway gave an unexpected answer. The text has the request and the problem."""


@dataclass(frozen=True)
class Step:
    """An event as shown in a timeline."""

    type: str
    title: str
    record: str


@dataclass
class Trail:
    """The records changed since the events were last shown, according to Crm-Version in the answers."""

    changed: dict[str, str] = field(default_factory=dict)
    """Id of the record → `entity/<id>@<version>`."""
    _told: set[str] = field(default_factory=set)

    def note(self, versions: str) -> None:
        """Remember the records that an answer reports as changed."""
        for entry in filter(None, versions.split(", ")):
            self.changed[entry.partition("/")[2].partition("@")[0]] = entry

    async def tell(self, reader: "Person") -> list[Step]:
        """Return the events since the last call, oldest first, from the records' timelines."""
        changed, self.changed = self.changed, {}
        found: dict[str, tuple[str, Step]] = {}
        for record_id, version in changed.items():
            page = await reader.get(f"/timeline?regarding={record_id}&limit=50", after=version)
            for item in page["items"]:
                if item["kind"] == "event" and item["record"]["id"] == record_id and item["id"] not in self._told:
                    found[item["id"]] = item["at"], Step(item["type"], item["title"], item["record"]["name"] or "")
        self._told |= found.keys()
        return [step for _, (_, step) in sorted(found.items(), key=lambda entry: (entry[1][0], entry[0]))]


class Person:
    """A logged-in person. The trail has their changes. Their reads wait for their changes."""

    def __init__(self, session: aiohttp.ClientSession, name: str, token: str, trail: Trail) -> None:
        self.name = name
        self.user_id = ""
        self._session, self._token, self._trail = session, token, trail
        self._after = ""

    @classmethod
    async def log_in(
        cls, session: aiohttp.ClientSession, trail: Trail, name: str, email: str, password: str
    ) -> "Person":
        """Log in. Raises Refused if the password is wrong."""
        form = {"grant_type": "password", "username": email, "password": password}
        async with session.post(f"{API}/auth/token", data=form) as answer:
            body = await _content(answer)
            if answer.status != 200:
                raise Refused(f"{email} cannot log in: {_reason(body)}")
        return cls(session, name, body["access_token"], trail)

    async def get(self, path: str, *, after: str = "") -> dict[str, Any]:
        """GET a path. The answer includes everything that this person wrote before, or that ``after`` names."""
        return (await self._send("GET", path, after=after))[0]

    async def post(self, path: str, body: object = None, *, after: str = "") -> dict[str, Any]:
        """Create a record or run a command once, even if the request has to be repeated."""
        return (await self._send("POST", path, data=json.dumps(body or {}), after=after))[0]

    async def patch(self, path: str, body: object, version: int) -> dict[str, Any]:
        """Change fields of a record if it still has this version."""
        return (await self._send("PATCH", path, data=json.dumps(body), version=version))[0]

    async def upload(self, path: str, file: bytes, fields: Mapping[str, str], *, after: str = "") -> str:
        """Upload a file when the service knows the records that it refers to. Return the path of the import job."""
        form = aiohttp.FormData(dict(fields))
        form.add_field("file", file, filename="leads.csv", content_type="text/csv")
        _, headers = await self._send("POST", path, data=form, after=after)
        return headers["Location"].removeprefix(API)

    async def _send(
        self, method: str, path: str, *, data: Any = None, after: str = "", version: int | None = None
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        headers = {"Authorization": f"Bearer {self._token}"}
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        if isinstance(data, str):
            headers["Content-Type"] = "application/json"
        if waited := ", ".join(filter(None, (after or self._after,))):
            headers["Crm-After"] = waited
        began = clock.monotonic()
        while True:
            async with self._session.request(method, f"{API}{path}", data=data, headers=headers) as answer:
                body = await _content(answer)
                if answer.status == 503 and clock.monotonic() - began < PATIENCE_SECONDS:
                    await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
                    continue
                if answer.status >= 300:
                    raise Refused(f"{method} {path} answered {answer.status}: {_reason(body)}")
                if versions := answer.headers.get("Crm-Version"):
                    self._after = versions
                    self._trail.note(versions)
                return body, answer.headers


async def _content(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    text = await answer.text()
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError:
        found = {"detail": text[:200]}
    return found if isinstance(found, dict) else {}


def _reason(body: Mapping[str, Any]) -> str:
    errors = "; ".join(f"{error.get('pointer')}: {error.get('message')}" for error in body.get("errors") or ())
    return " ".join(filter(None, (str(body.get("detail") or body.get("title") or "no reason given"), errors)))


@contextmanager
def unreachable_is_refused(gateway: str) -> Iterator[None]:
    """Raise Refused with a single line if the gateway does not answer."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Refused(f"{gateway} does not answer ({type(error).__name__}): is the suite up?") from error
