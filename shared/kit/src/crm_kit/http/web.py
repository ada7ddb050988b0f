"""The HTTP side of a service: the app, its context, health, and the last answer to what nobody foresaw."""

import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_contracts.sentences import said
from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.errors import DomainError
from crm_kit.events.consumers import Consumers
from crm_kit.http.entities import entities_router
from crm_kit.http.failures import trace_id
from crm_kit.http.heads import Heads
from crm_kit.http.health import health_routes, unready
from crm_kit.http.meta import state_machines_router
from crm_kit.http.openapi import describe_problems
from crm_kit.http.phrases import of_form
from crm_kit.http.problems import problem
from crm_kit.http.web_figures import Requests
from crm_kit.process.handover import HANDOVER
from crm_kit.process.runtime import Runtime, Service, open_runtime
from crm_kit.process.vitals import watched_readiness
from crm_kit.schema.standing import Standing
from crm_kit.signals.logs import WORK, masked
from crm_kit.signals.telemetry import SpanKind, span, tracing
from crm_kit.store.record import new_id
from crm_kit.work.announcing import Cause
from crm_language.languages import ENGLISH, LANGUAGE, language_of

log = structlog.get_logger(__name__)

PREFIX = "/api/v1"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Opened = Callable[[Runtime], Any]


def create_app(
    service: Service,
    routers: Sequence[APIRouter],
    *,
    settings: Settings | None = None,
    consumers: Consumers | None = None,
    opened: Opened | None = None,
    openapi_url: str | None = "/openapi.json",
) -> FastAPI:
    """A service's app. ``opened`` runs once the runtime stands, before the first request, and may be awaited."""
    standing = Standing(service)

    def opening(app: FastAPI) -> AbstractAsyncContextManager[Runtime]:
        return open_runtime(service, settings or read(Settings), app.state.db, app.state.prepared)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening(app) as runtime:
            app.state.runtime = runtime
            if opened is not None and (waiting := opened(runtime)) is not None:
                await waiting
            # What listens after this takes requests from a predecessor, so it has to be ready for them.
            await HANDOVER.until_ready(lambda: _unready(standing, runtime))
            async with watched_readiness(runtime.settings, lambda: _unready(standing, runtime, at_a_glance=True)):
                yield

    app = FastAPI(
        title=f"Liaison {service.title}",
        version="1.0.0",
        lifespan=lifespan,
        openapi_url=openapi_url,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        swagger_ui_oauth2_redirect_url=None,
        # ``Context`` makes the spans; the framework's own would be a second set, and asks for its providers each time.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.db = None
    """A pool that outlives the app, for who starts it many times."""
    app.state.prepared = None
    """A runtime that was built before a fork."""
    app.state.groups = consumers
    app.state.service = service
    for router in routers:
        app.include_router(router, prefix=PREFIX)
    if service.entities:
        for router in (state_machines_router(service), entities_router(service, routers, PREFIX)):
            app.include_router(router, prefix=PREFIX)
    app.router.routes += health_routes(lambda request: _unready(standing, request.app.state.runtime))
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, unforeseen)
    app.openapi = lambda: describe_problems(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    app.add_middleware(Heads)
    app.add_middleware(Context)
    return app


def complete(app: FastAPI) -> None:
    """Make what the framework would make at the first request: 15 MiB and 0.2 s in the largest service."""
    nothing = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nothing)
    if app.middleware_stack is None:
        app.middleware_stack = app.build_middleware_stack()


class Context:
    """Gives every request its correlation id and trace, and every answer its headers. Pure ASGI: nothing is buffered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._requests = Requests(PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An app before this one, such as the gateway's edge, may have given the request its context already.
        if scope["type"] != "http" or "crm.cause" in scope:
            await self.app(scope, receive, send)
            return
        began, status = self._requests.begin(), 500
        try:
            status = await self._traced(scope, receive, send)
        finally:
            self._requests.end(began, scope, status)

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> int:
        cause = _cause(scope["headers"])
        if not tracing():
            if cause.traceparent is None:
                # Flags 00: it has an id that people can quote, and nobody records it.
                cause = replace(cause, traceparent=f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00")
            return await self._pass(scope, receive, send, cause)
        method, path = scope["method"] if scope["method"] in METHODS else "HTTP", masked(scope["path"])
        noted = {"http.request.method": method, "url.path": path}
        name = f"{method} {UUIDS.sub('{id}', path)}"
        with span(name, SpanKind.SERVER, cause.traceparent, noted) as traced:
            cause = replace(cause, traceparent=traced.traceparent)
            status = await self._pass(scope, receive, send, cause)
            traced.note("http.response.status_code", status)
            if status >= 500:
                traced.failed(str(status))
        return status

    async def _pass(self, scope: Scope, receive: Receive, send: Send, cause: Cause) -> int:
        """The status of the answer; 0 when the caller was gone before there was one."""
        scope["crm.cause"] = cause
        LANGUAGE.set(_language(scope["headers"]))
        status = 0
        correlation = cause.correlation_id.encode()

        async def send_with_context(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"crm-correlation-id", correlation))
            await send(message)

        WORK.set(lambda: {"correlation_id": cause.correlation_id, "trace_id": trace_id(cause)})
        await self.app(scope, receive, send_with_context)
        return status


def _language(headers: list[tuple[bytes, bytes]]) -> str:
    """The language that the answer should have."""
    return next(
        (language_of(value.decode("latin-1")) for name, value in headers if name == b"accept-language"), ENGLISH
    )


def _cause(headers: list[tuple[bytes, bytes]]) -> Cause:
    correlation = traceparent = tracestate = None
    for name, value in headers:
        if name == b"crm-correlation-id":
            correlation = value.decode("latin-1")
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            tracestate = value.decode("latin-1")
    if not correlation or len(correlation) > 128 or not correlation.isprintable() or not correlation.isascii():
        correlation = str(new_id())
    if not _is_traceparent(traceparent):
        traceparent = tracestate = None
    if tracestate and not (len(tracestate) <= 512 and tracestate.isascii() and tracestate.isprintable()):
        tracestate = None
    return Cause(correlation, traceparent=traceparent, tracestate=tracestate)


def _is_traceparent(value: str | None) -> bool:
    """W3C Trace Context §3.2, version 00."""
    if value is None or len(value) != 55:
        return False
    parts = value.split("-")
    hexadecimal = all(set(part) <= set("0123456789abcdef") for part in parts)
    return [len(part) for part in parts] == [2, 32, 16, 2] and hexadecimal and set(parts[1]) != {"0"} != set(parts[2])


async def _unready(standing: Standing, runtime: Runtime, *, at_a_glance: bool = False) -> list[str]:
    """Why this process should get no requests; empty when it should."""
    return await unready(standing, runtime, lambda: _unwell(runtime), at_a_glance=at_a_glance)


def _unwell(runtime: Runtime) -> list[str]:
    reasons: list[str] = []
    if not runtime.directory.ready:
        reasons.append("the directory has not been read yet")
    if not runtime.directory.alive or not runtime.tokens.alive:
        reasons.append("a background loop has died")
    if not runtime.tokens.ready:
        reasons.append("no key to verify tokens with yet")
    return [*reasons, *(reason for check in runtime.checks for reason in check())]


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slug = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}.get(
        error.status_code, "invalid-request"
    )
    cause: Cause = request.scope["crm.cause"]
    headers = error.headers
    match error.status_code:
        case 404:
            detail = "There is no such path. GET /openapi.json lists all paths."
        case 405:
            allowed = _allowed(request)
            headers = {"Allow": allowed}
            detail = said("Use {allowed}: this path does not take {method}.", allowed=allowed, method=request.method)
        case _:
            detail = of_form(str(error.detail))
    return problem(DomainError(slug, detail), request.url.path, trace_id(cause), headers)


def _allowed(request: Request) -> str:
    # RFC 9110 §15.5.6 asks for all methods of the path; the framework names those of the first route that has it.
    scope = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    routes = request.app.routes
    taken = {
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    if "GET" in taken:
        taken.add("HEAD")
    return ", ".join(method for method in METHODS if method in taken)


async def unforeseen(request: Request, error: Exception) -> Response:
    """500 for what nobody foresaw: the log tells operators, the answer only the trace id."""
    cause: Cause = request.scope["crm.cause"]
    # The exception's text may quote a person's data, so only its type and place are logged.
    log.error("http.unforeseen", path=masked(request.url.path), exc_info=error)
    found = DomainError("internal-error", "An internal error occurred. Give your operators the trace id.")
    return problem(found, request.url.path, trace_id(cause))
