"""The headers that pass the gateway. All others are dropped, such as hop-by-hop headers (RFC 9110 §7.6.1)."""

from typing import Final

from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.work.announcing import Cause

REQUEST: Final = frozenset(
    {b"authorization", b"accept", b"accept-encoding", b"accept-language", b"content-type", b"content-encoding"}
    | {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
    | {b"idempotency-key", b"crm-after", b"prefer", b"user-agent"}
)
"""Headers passed to a service. The gateway writes framing, tracing, deadline and forwarding headers itself."""

ANSWER: Final = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-disposition"}
    | {
        b"content-range",
        b"accept-ranges",
        b"accept-encoding",
        b"etag",
        b"last-modified",
        b"location",
        b"link",
        b"allow",
    }
    | {b"cache-control", b"vary", b"age", b"expires", b"retry-after", b"www-authenticate", b"deprecation", b"sunset"}
    | {
        b"crm-version",
        b"crm-conflicts",
        b"idempotent-replayed",
        b"preference-applied",
        b"x-content-type-options",
        b"content-security-policy",
    }
)
"""Headers passed to the caller."""

_ONCE: Final = frozenset({b"authorization", b"content-type", b"idempotency-key"})
"""Headers that must not be repeated: the gateway could check one value and the service use the other."""


def for_upstream(
    headers: list[tuple[bytes, bytes]], cause: Cause, *, scheme: str, host: bytes, address: str
) -> list[tuple[str, str]]:
    """Return the headers for the service. 400 for a repeated or non-ASCII one."""
    passed: list[tuple[str, str]] = []
    seen: set[bytes] = set()
    for name, value in headers:
        if name in REQUEST:
            if name in _ONCE:
                if name in seen:
                    raise DomainError("invalid-header", said("Send {name} only once.", name=name.decode()))
                seen.add(name)
            if not value.isascii():
                raise DomainError("invalid-header", said("Send {name} in ASCII.", name=name.decode()))
            passed.append((name.decode(), value.decode()))
    passed.append(("crm-correlation-id", cause.correlation_id))
    if cause.traceparent:
        passed.append(("traceparent", cause.traceparent))
    if cause.tracestate and cause.tracestate.isascii():
        passed.append(("tracestate", cause.tracestate))
    passed.append(("x-forwarded-for", address))
    passed.append(("x-forwarded-proto", scheme))
    if host.isascii():
        passed.append(("x-forwarded-host", host.decode()))
    return passed


def for_caller(headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a service's answer for the caller."""
    return [(lower, value) for name, value in headers if (lower := name.lower()) in ANSWER]
