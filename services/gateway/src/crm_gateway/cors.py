"""The origins whose pages may call the API (the CORS protocol of the Fetch standard)."""

from collections.abc import Mapping
from typing import Final

from fastapi.responses import Response

from crm_contracts.sentences import said
from crm_gateway.proxy.headers import ANSWER, REQUEST
from crm_kit.errors import DomainError

METHODS: Final = "GET, HEAD, POST, PATCH, DELETE"
PREFLIGHT_SECONDS: Final = 600
LONGEST_ORIGIN: Final = 200
"""Characters of an origin that a problem quotes."""
_SIMPLE: Final = {b"cache-control", b"content-type", b"content-language", b"last-modified", b"content-length"}
_EXPOSED: Final = ", ".join(
    sorted(
        name.decode()
        for name in (ANSWER - _SIMPLE) | {b"crm-correlation-id", b"traceparent", b"ratelimit", b"ratelimit-policy"}
    )
)
_ACCEPTED: Final = ", ".join(
    sorted(
        name.decode() for name in REQUEST | {b"crm-deadline-ms", b"crm-correlation-id", b"traceparent", b"tracestate"}
    )
)

Headers = list[tuple[bytes, bytes]]


class OriginNotAllowed(DomainError):
    """403 for the preflight of a page whose origin is not among those of ``CRM_CORS_ORIGINS``."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            "origin-not-allowed",
            said(
                "Pages of {origin} may not call this API. Ask your operators to add the origin to "
                "CRM_CORS_ORIGINS, or call the API from your server.",
                origin=origin[:LONGEST_ORIGIN],
            ),
        )


class Cors:
    """The allowed origins. Credentials are not allowed: pages of other origins send a bearer token, and no cookie."""

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
        """Return the answer to a preflight request; None for other requests. Raises 403 for an origin that is not allowed."""
        if method != "OPTIONS" or b"access-control-request-method" not in request or b"origin" not in request:
            return None
        origin = request[b"origin"]
        if not self._allows(origin):
            raise OriginNotAllowed(origin.decode("latin-1"))
        answer = Response(status_code=204, headers={"vary": "Origin"})
        answer.headers["access-control-allow-origin"] = origin.decode("latin-1")
        answer.headers["access-control-allow-methods"] = METHODS
        answer.headers["access-control-allow-headers"] = _ACCEPTED
        answer.headers["access-control-max-age"] = str(PREFLIGHT_SECONDS)
        return answer

    def _allows(self, origin: bytes) -> bool:
        return bool(origin) and (self._any or origin.decode("latin-1") in self._origins)
