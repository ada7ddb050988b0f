"""One HTTP request as one unit of work: who, under which key and condition, by when; commit, then answer."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import Message

from crm_kit.announcing import Cause
from crm_kit.errors import DomainError
from crm_kit.idempotency import Answer, Key, Replayed
from crm_kit.problems import from_validation, problem
from crm_kit.projected import wait_until_projected
from crm_kit.runtime import Runtime
from crm_kit.telemetry import trace_id_of
from crm_kit.tokens import bearer
from crm_kit.uow import UnitOfWork

JSON_TYPES = ("application/json", "application/merge-patch+json")
IDLE_SECONDS = 30.0
ETAG = re.compile(r'"(\d{1,10})"')
ETAGS = re.compile(r'\s*(W/)?"[^"]*"\s*(,\s*(W/)?"[^"]*"\s*)*')
KEPT_HEADERS = ("etag", "location", "content-type", "crm-version", "cache-control", "vary")

NOT_KEYED: dict[str, Any] = {"x-not-keyed": True}
"""``openapi_extra`` of a POST that takes no Idempotency-Key: its answer must not be kept."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PublicRoute(APIRoute):
    """A route without a caller: health, keys, tokens. It checks the body's size, type and depth, and maps errors."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None and not _is_form(self)

        async def run(request: Request) -> Response:
            try:
                async with asyncio.timeout(_seconds(request)):
                    if takes_json:
                        await _read_json(request)
                    elif self.body_field is not None:
                        # Starlette would parse a form of any size; here it is small, and counted first.
                        await read_body(request)
                    return await handle(request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return _answer_to(error, request)

        return run


class Route(APIRoute):
    """A route with a caller. The unit of work is committed before the answer leaves, so an answered 2xx is a fact."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None and not _is_form(self)
        conditional = bool((self.methods or set()) & {"PATCH", "DELETE"})
        keyed = not (self.openapi_extra or {}).get("x-not-keyed")
        shown = frozenset(getattr(self.response_model, "model_fields", ()))

        async def run(request: Request) -> Response:
            try:
                async with asyncio.timeout(_seconds(request)):
                    return await _carry_out(request, handle, takes_json, conditional, keyed)
            except Replayed as replayed:
                answer = replayed.answer
                return Response(answer.body, answer.status, {**answer.headers, "Idempotent-Replayed": "true"})
            except RequestValidationError as error:
                return _answer_to(from_validation(error, shown), request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return _answer_to(error, request)

        return run


async def _carry_out(request: Request, handle: Handler, takes_json: bool, conditional: bool, keyed: bool) -> Response:
    runtime: Runtime = request.app.state.runtime
    headers = request.headers
    token = bearer(headers.get("authorization"))
    principal = runtime.tokens.cached(token) or await runtime.tokens.verify(token)
    body = await _read_json(request) if takes_json else b""
    if headers.get("content-type", "").startswith("multipart/"):
        _bound_idleness(request)
    key = None
    keyed = keyed and request.method == "POST" and takes_key(request.url.path)
    if keyed and (sent := headers.get("idempotency-key")) is not None:
        key = Key.of(principal.id, "POST", request.url.path, sent, body or await _content(request))
    if_match = _if_match(headers.get("if-match"), required=conditional)
    uow = UnitOfWork(runtime, principal, request.scope["crm.cause"], key=key, if_match=if_match)
    request.scope["crm.uow"] = uow
    try:
        if (after := headers.get("crm-after")) is not None:
            await wait_until_projected(request.app.state.groups, uow, after)
        response = await handle(request)
        if request.method not in ("GET", "HEAD"):
            await _commit(uow, response)
        return response
    finally:
        await uow.close()


async def _commit(uow: UnitOfWork, response: Response) -> None:
    if uow.written:
        response.headers["crm-version"] = ", ".join(f"{entity}/{id_}@{version}" for entity, id_, version in uow.written)
    answer = None
    if uow.keyed and 200 <= response.status_code < 300:
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        answer = Answer(response.status_code, kept, bytes(response.body))
    await uow.commit(answer)


async def unit_of_work(request: Request) -> UnitOfWork:
    """The unit of work that the route opened for this request. Async, or FastAPI would send it through a thread."""
    uow: UnitOfWork = request.scope["crm.uow"]
    return uow


Uow = Annotated[UnitOfWork, Depends(unit_of_work)]


def _is_form(route: APIRoute) -> bool:
    from fastapi.params import Form

    return route.body_field is not None and isinstance(route.body_field.field_info, Form)


def takes_key(path: str) -> bool:
    """Whether a POST to this path may carry an Idempotency-Key: one that asks or logs in has no effect to repeat."""
    return "/auth/" not in path and not path.endswith(("/query", "/availability"))


def _seconds(request: Request) -> float | None:
    """What is left of the caller's deadline, at most one hop. Uploads have an idle limit instead."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        return None
    longest: float = request.app.state.runtime.settings.hop_seconds
    left = request.headers.get("crm-deadline-ms")
    if left is None:
        return longest
    if not left.isdecimal() or len(left) > 9:
        raise DomainError("invalid-header", "Crm-Deadline-Ms is a number of milliseconds.")
    return min(longest, int(left) / 1000)


def _if_match(header: str | None, *, required: bool) -> frozenset[int] | None:
    if header is None:
        if required:
            raise DomainError("if-match-required", 'Send If-Match with the record\'s ETag, or "*" to overwrite.')
        return None
    if header.strip() == "*":
        return None
    if not ETAGS.fullmatch(header):
        raise DomainError("invalid-header", 'If-Match is a list of ETags such as "3", or *.')
    # A weak tag never matches under the strong comparison that If-Match asks for (RFC 9110 §13.1.1).
    return frozenset(
        int(tag) for weak, tag in re.findall(r'(W/)?"([^"]*)"', header) if not weak and ETAG.fullmatch(f'"{tag}"')
    )


async def read_body(request: Request) -> bytes:
    """The body, at most ``max_body_bytes`` of it; counted while it arrives."""
    known: bytes | None = getattr(request, "_body", None)
    if known is not None:
        return known
    limit: int = request.app.state.runtime.settings.max_body_bytes
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise DomainError("body-too-large", f"The body is larger than {limit} bytes.", members={"limit": limit})
        chunks.append(chunk)
    request._body = body = b"".join(chunks)
    return body


async def _content(request: Request) -> bytes:
    """What a keyed request without JSON says: the digest of its form, or its body, which is mostly empty."""
    if not request.headers.get("content-type", "").startswith("multipart/"):
        return await read_body(request)
    digest = hashlib.sha256()
    for name, value in (await request.form()).multi_items():
        digest.update(name.encode())
        if isinstance(value, str):
            digest.update(value.encode())
        else:
            while chunk := await value.read(1024 * 1024):
                digest.update(chunk)
            await value.seek(0)
    return digest.digest()


def _bound_idleness(request: Request) -> None:
    """An upload has no deadline, but a sender that falls silent is dropped."""
    receive, seconds = request.receive, IDLE_SECONDS

    async def bounded() -> Message:
        async with asyncio.timeout(seconds):
            return await receive()

    request._receive = bounded


async def _read_json(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request)
    if body and content_type not in JSON_TYPES:
        raise DomainError("unsupported-media-type", f"Send {' or '.join(JSON_TYPES)}.")
    if body:
        if body.count(b"[") + body.count(b"{") > (limit := request.app.state.runtime.settings.json_depth):
            _refuse_depth(body, limit)
        try:
            # FastAPI takes the parsed body from here: it is parsed once, and by a parser that refuses NaN and lone surrogates.
            request._json = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise DomainError("invalid-json", f"The body is not JSON: {error.msg} at {error.pos}.") from error
    return body


def _refuse_depth(body: bytes, limit: int) -> None:
    depth, quoted, escaped = 0, False, False
    for byte in body:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            if depth > limit:
                raise DomainError("invalid-json", f"The JSON is nested deeper than {limit} levels.")
        elif byte in b"]}":
            depth -= 1


def _answer_to(error: Exception, request: Request) -> Response:
    found = domain_error(error)
    if found is None:
        raise error
    cause: Cause = request.scope["crm.cause"]
    return problem(found, request.url.path, trace_id(cause))


def trace_id(cause: Cause) -> str:
    """The trace id inside a traceparent (W3C Trace Context)."""
    return trace_id_of(cause.traceparent)


def domain_error(error: BaseException) -> DomainError | None:
    """What an exception means to the caller; None for one that nobody foresaw."""
    match error:
        case DomainError():
            return error
        case RequestValidationError():
            return from_validation(error)
        case PoolTimeout():
            return DomainError("unavailable", "The service is busy; try again.")
        case TimeoutError():
            return DomainError("deadline-exceeded", "The request took longer than its deadline.")
        case DBAPIError():
            return _database_error(error)
        case OSError():
            return DomainError("unavailable", "The database cannot be reached; try again.")
    return None


def _database_error(error: DBAPIError) -> DomainError | None:
    state = getattr(error.orig, "sqlstate", None)
    if (
        error.connection_invalidated
        or isinstance(error, InterfaceError)
        or ((state or "08")[:2] in ("08", "53", "57") and state != "57014")
    ):
        return DomainError("unavailable", "The database cannot be reached; try again.")
    match state:
        case "57014":
            return DomainError("deadline-exceeded", "The request took longer than its deadline.")
        case "55P03" | "40001" | "40P01":
            return DomainError("unavailable", "Others are changing the same record; try again.")
        case "23505":
            return DomainError("already-exists", "Another record has this value already, and it must be unique.")
        case "23503":
            return DomainError("in-use", "Other records refer to this one.")
    return None
