"""An HTTP client for tests. It has one caller and one service, and its answers are easy to assert on."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def etag(self) -> str:
        """The ETag, for the next If-Match."""
        return self.headers["etag"]

    @property
    def problem(self) -> str:
        """The slug of a problem document, such as ``not-found``. Raises ValueError if the answer is not a problem document."""
        if self.headers.get("content-type") != "application/problem+json":
            raise ValueError(f"{self.status} without a problem document: {self.body[:200]!r}")
        return str(self.json["type"]).removeprefix("/problems/")


class Client:
    """Sends requests as one caller. Paths are those of the API, such as ``/api/v1/leads``."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, token: str | None) -> None:
        self._session, self.base_url, self.token = session, base_url, token

    def as_token(self, token: str | None) -> "Client":
        """Return a client of the same service for another caller, or without a token."""
        return Client(self._session, self.base_url, token)

    async def request(
        self, method: str, path: str, *, json: Any = None, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request. ``json`` is sent as JSON, and ``body`` as it is: bytes, an aiohttp form, or an async iterator."""
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if json is not None:
            body = orjson.dumps(json, default=str)
            sent["content-type"] = "application/json"
        sent.update({name.lower(): value for name, value in (headers or {}).items()})
        async with self._session.request(
            method, self.base_url + path, data=body, headers=sent, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **more: Any) -> Answer:
        """Send a GET request."""
        return await self.request("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Answer:
        """Send a POST request."""
        return await self.request("POST", path, json=json, **more)

    async def patch(self, path: str, json: Any = None, *, etag: str | None = "*", **more: Any) -> Answer:
        """Send a PATCH request with If-Match. ``etag=None`` leaves the header out."""
        return await self.request("PATCH", path, json=json, **_with_condition(etag, more))

    async def delete(self, path: str, *, etag: str | None = "*", **more: Any) -> Answer:
        """Send a DELETE request with If-Match. ``etag=None`` leaves the header out."""
        return await self.request("DELETE", path, **_with_condition(etag, more))


def _with_condition(etag: str | None, more: dict[str, Any]) -> dict[str, Any]:
    if etag is None:
        return more
    return {**more, "headers": {"if-match": etag, **(more.get("headers") or {})}}
