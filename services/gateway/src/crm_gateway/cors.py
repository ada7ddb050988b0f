"""The origins whose pages may call the API (the CORS protocol of the Fetch standard)."""

from collections.abc import Mapping
from typing import Final

from fastapi.responses import Response

from crm_gateway.proxy.headers import ANSWER, REQUEST

METHODS: Final = "GET, POST, PATCH, DELETE"
PREFLIGHT_SECONDS: Final = 600
_SIMPLE: Final = {b"cache-control", b"content-type", b"content-language", b"last-modified", b"content-length"}
_EXPOSED: Final = ", ".join(
    sorted(
        name.decode()
        for name in (ANSWER - _SIMPLE) | {b"crm-correlation-id", b"traceparent", b"ratelimit", b"ratelimit-policy"}
    )
)
_ACCEPTED: Final = ", ".join(sorted(name.decode() for name in REQUEST | {b"crm-deadline-ms"}))

Headers = list[tuple[bytes, bytes]]


class Cors:
    """The allowed origins. Credentials are not allowed: callers send a bearer token and no cookie."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins, self._any = origins, "*" in origins

    def headers(self, request: Mapping[bytes, bytes]) -> Headers:
        """Return the CORS headers of an answer to a request from an origin."""
        origin = request.get(b"origin")
        if origin is None or not self._origins:
            return []
        if not self._allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED.encode()),
            (b"vary", b"Origin"),
        ]

    def preflight(self, method: str, request: Mapping[bytes, bytes]) -> Response | None:
        """Return the answer to a preflight request, without CORS headers for an unknown origin.

        None for other requests.
        """
        if method != "OPTIONS" or b"access-control-request-method" not in request or not self._origins:
            return None
        answer = Response(status_code=204, headers={"vary": "Origin"})
        origin = request.get(b"origin", b"")
        if self._allows(origin):
            answer.headers["access-control-allow-origin"] = origin.decode("latin-1")
            answer.headers["access-control-allow-methods"] = METHODS
            answer.headers["access-control-allow-headers"] = _ACCEPTED
            answer.headers["access-control-max-age"] = str(PREFLIGHT_SECONDS)
        return answer

    def _allows(self, origin: bytes) -> bool:
        return bool(origin) and (self._any or origin.decode("latin-1") in self._origins)
