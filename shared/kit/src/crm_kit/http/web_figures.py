"""Requests as operators count them: how many, how they ended, how long they took, by method and route."""

from typing import Final

from starlette.types import Scope

from crm_kit.clock import monotonic
from crm_kit.signals.metrics import histogram, observed

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ROUTE: Final = "crm.route"
"""In a request's scope: the route of one that no router of ours was asked about."""

DURATION = histogram(
    "http.server.request.duration",
    "Duration of requests, from their head to the end of the answer.",
    "http.request.method",
    "http.route",
    "http.response.status_class",
)
ACTIVE = observed("http.server.active_requests", "Requests in progress.")

_CLASSES: Final = {0: "none"} | {status: f"{status // 100}xx" for status in range(100, 600)}
_OTHER: Final = "_OTHER"
"""As OpenTelemetry calls a method that it does not know: whoever calls may invent any number of them."""


def status_class(status: int) -> str:
    """``2xx`` to ``5xx``; ``none`` for a caller who was gone before there was an answer."""
    return _CLASSES.get(status, _OTHER)


class Requests:
    """The requests of one process that are under way. ``prefix`` stands before the routes that were included with it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._routes: dict[int, str] = {}
        self._active = 0
        ACTIVE.add(lambda: [((), self._active)])

    def begin(self) -> float:
        """A request has come; returns what ``end`` is to be given."""
        self._active += 1
        return monotonic()

    def end(self, began: float, scope: Scope, status: int) -> None:
        """It is answered, or given up (0)."""
        self._active -= 1
        method = scope["method"]
        known = method if method in METHODS else _OTHER
        route: str = scope.get(ROUTE) or self._route(scope)
        DURATION.labels(known, route, status_class(status)).observe(monotonic() - began)

    def _route(self, scope: Scope) -> str:
        """The template, never the path: whoever calls may invent any number of those. Empty where no route was found."""
        route = scope.get("route")
        if route is None:
            return ""
        found = self._routes.get(id(route))
        if found is None:
            template = str(getattr(route, "path_format", None) or getattr(route, "path", ""))
            included = scope["path"].startswith(self._prefix) and not template.startswith(self._prefix)
            found = self._routes[id(route)] = self._prefix + template if included else template
        return found
