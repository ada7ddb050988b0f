"""The broker's management HTTP API, and the names of the suite's users in it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from crm_kit.network.amqp_urls import Brokers, parameters_of, tls


class TopologyError(Exception):
    """The management API refused, or the broker lacks something the suite depends on."""


def vhost_of(amqp_url: str) -> str:
    """Return the virtual host of an AMQP URL; ``/`` if it has none."""
    return Brokers.of(amqp_url).vhost


def user_of(service: str, amqp_url: str) -> str:
    """Return the broker user of a service. Virtual hosts share the users, so the name contains the virtual host."""
    vhost = vhost_of(amqp_url)
    return f"crm.{service}" if vhost == "/" else f"{vhost}.{service}"


_PORTS = {"http": 15672, "https": 15671}


class Management:
    """The management HTTP API of a broker. A URL with `https` takes the TLS parameters of an AMQP URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        context = tls(parameters_of(parts.query)) if parts.scheme == "https" else True
        self._base = (
            f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}{parts.path.rstrip('/')}/api"
        )
        login, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        headers = {"Authorization": aiohttp.encode_basic_auth(login, password)}
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=10),
            connector=aiohttp.TCPConnector(ssl=context),
        )

    async def __aenter__(self) -> "Management":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def limit(self, user: str, limits: Mapping[str, int]) -> None:
        """Set the limits of a user's open connections and channels. Raises TopologyError."""
        for name, most in limits.items():
            await self.put(f"user-limits/{quote(user, safe='')}/{name}", {"value": most})

    async def find(self, path: str) -> Any:
        """Return the resource, or None if it does not exist. Raises TopologyError."""
        return await self._call("GET", path, None, missing_ok=True)

    async def get(self, path: str) -> Any:
        """Return the resource. Raises TopologyError, also if it does not exist."""
        return await self._call("GET", path, None)

    async def put(self, path: str, body: dict[str, Any]) -> None:
        """Create or replace the resource. Raises TopologyError."""
        await self._call("PUT", path, body)

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Send a POST with the body. Raises TopologyError."""
        await self._call("POST", path, body)

    async def delete(self, path: str, *, missing_ok: bool = False) -> None:
        """Delete the resource. Raises TopologyError, also if it does not exist, unless ``missing_ok``."""
        await self._call("DELETE", path, None, missing_ok=missing_ok)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None, *, missing_ok: bool = False) -> Any:
        url = URL(f"{self._base}/{path}", encoded=True)
        try:
            async with self._session.request(method, url, json=body) as answer:
                if answer.status == 404 and missing_ok:
                    return None
                if answer.status == 401:
                    raise TopologyError(
                        f"AMQP_MANAGEMENT_URL, {self._base}: the log-in was refused: correct user and password"
                    )
                if answer.status >= 400:
                    raise TopologyError(f"{method} {path}: {answer.status} {(await answer.text())[:200]}")
                return await answer.json() if method == "GET" else None
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise TopologyError(
                f"AMQP_MANAGEMENT_URL, {self._base}: the management API does not answer: {why}"
            ) from error
