"""One HTTP request as one unit of work: who, under which key and condition, by when; commit, then answer."""

import asyncio
import hashlib
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

import orjson
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import File, Form
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import Message

from crm_contracts.access import Depth, Privilege
from crm_kit.access.privileges import Principal
from crm_kit.access.tokens import bearer
from crm_kit.copies.projected import wait_until_projected
from crm_kit.errors import DomainError, FieldError, Forbidden, UnsupportedCoding
from crm_kit.http.problems import from_validation, problem
from crm_kit.process.memory import HOUSEKEEPER, LARGE
from crm_kit.process.runtime import Runtime
from crm_kit.signals.telemetry import trace_id_of
from crm_kit.store.outages import ran_out_of_time
from crm_kit.store.record import Record
from crm_kit.work.announcing import Cause
from crm_kit.work.condition import Condition
from crm_kit.work.idempotency import IdempotencyKey, Replayed, StoredAnswer
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.violations import violation

JSON_TYPES = ("application/json", "application/merge-patch+json")
FORM_BYTES: Final = 16 * 1024
"""A small form: names, passwords and tokens."""
FORM_TYPE = "application/x-www-form-urlencoded"
IDLE_SECONDS = 30.0
SAFE = ("GET", "HEAD")
ANSWERING_PART: Final = 0.9
"""The part of a hop after which a read is answered in any case; what it does in the database ends before that."""
ETAG = re.compile(r'"(\d{1,10})"')
ETAGS = re.compile(r'\s*(W/)?"[^"]*"\s*(,\s*(W/)?"[^"]*"\s*)*')
KEPT_HEADERS = ("etag", "location", "content-type", "crm-version", "crm-conflicts", "cache-control", "vary")

MAX_PARAMETERS: Final = 100
"""Query parameters, or fields of a form: a filter has at most 50 terms."""
MAX_MEMBERS: Final = 256
"""Members of one JSON object; no schema has half as many."""
MAX_ITEMS: Final = 1000
"""Items of one JSON array; no schema takes more than half of that."""
MAX_VALUES: Final = 20_000
"""Values in a JSON body, all levels together: twice what 500 lines have with every field set."""
FEW: Final = 200
"""Separators below which a body cannot break one of those."""
BRACKETS = re.compile(rb"[\[{}\]]")
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Strings of a JSON text; one that does not end goes to the end of the text, or looking for its end would start at each quote."""

BEGINNING = 16 * 1024

NOT_KEYED: dict[str, Any] = {"x-not-keyed": True}
"""``openapi_extra`` of a POST that takes no Idempotency-Key: its answer must not be kept."""

STREAMS: dict[str, Any] = {"x-streams": True}
"""``openapi_extra`` of an operation that reads its body, or sends its answer, while it arrives. It has an idle limit instead of a
deadline, and calls ``key_upload`` when it knows what arrived."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Admit = Callable[[Principal], None]
"""Raises 403 for who holds the privilege on nothing at all."""


NEEDED: Mapping[str, Privilege] = {
    "query": Privilege.READ,
    "duplicates": Privilege.CREATE,
    "import": Privilege.CREATE,
    "assign": Privilege.ASSIGN,
}
"""What the kit's own verbs need; every other command needs write."""


class OfIds(APIRoute):
    """A route whose ids in the path are ids, and nothing else: ``/leads/query`` is never looked up as a lead, so that a
    wrong method there is 405, and not 404."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        for name, parameter in inspect.signature(endpoint).parameters.items():
            if parameter.annotation is UUID:
                path = path.replace(f"{{{name}}}", f"{{{name}:uuid}}")
        super().__init__(path, endpoint, **options)


class PublicRoute(OfIds):
    """A route without a caller: health, keys, tokens. It checks the body's size, type and depth, and maps errors."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None and not _is_form(self)

        async def run(request: Request) -> Response:
            try:
                async with asyncio.timeout(seconds_for(request)):
                    _refuse_many(request.scope["query_string"], "query")
                    _refuse_coded(request)
                    if takes_json:
                        await _read_json(request)
                    elif self.body_field is not None:
                        # Starlette would parse a form of any size; here it is small, and counted first.
                        await _read_form(request)
                    return await handle(request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return _answer_to(error, request)

        return run


class Route(OfIds):
    """A route with a caller. The unit of work is committed before the answer leaves, so an answered 2xx is a fact.

    Routes about records are made by ``about``: nobody's body is read before it is known that they may send it.
    """

    entities: ClassVar[tuple[str, ...]] = ()
    verbs: ClassVar[Mapping[str, Privilege]] = {}

    @property
    def needs(self) -> Privilege | None:
        """The privilege that every caller of this route must hold, on one of ``entities`` at any depth."""
        if not self.entities:
            return None
        methods = self.methods or set()
        if "PATCH" in methods:
            return Privilege.WRITE
        if "DELETE" in methods:
            return Privilege.DELETE
        if "POST" not in methods:
            return Privilege.READ
        verb = self.path.rpartition("/")[2]
        if (needed := self.verbs.get(verb) or NEEDED.get(verb)) is not None:
            return needed
        return Privilege.WRITE if "{" in self.path else Privilege.CREATE

    @property
    def is_keyed(self) -> bool:
        """Whether it takes an Idempotency-Key: every POST does but one that asks or logs in, which has no effect to repeat, and
        one whose answer must not be kept (``NOT_KEYED``)."""
        if "POST" not in (self.methods or set()) or (self.openapi_extra or {}).get("x-not-keyed"):
            return False
        return "/auth/" not in self.path and not self.path.endswith("/query")

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None and not _is_form(self)
        conditional = bool((self.methods or set()) & {"PATCH", "DELETE"})
        shown = frozenset(getattr(self.response_model, "model_fields", ()))
        uploads = _is_upload(self)
        streams = bool((self.openapi_extra or {}).get("x-streams"))
        needs = self.needs if self.body_field is not None else None

        def admit(principal: Principal) -> None:
            if needs is not None and all(principal.depth(name, needs) is Depth.NONE for name in self.entities):
                raise Forbidden(needs.value, self.entities[0])

        async def run(request: Request) -> Response:
            try:
                unbounded = streams or (uploads and _is_multipart(request))
                async with asyncio.timeout(None if unbounded else seconds_for(request)):
                    keyed = self.is_keyed and not streams
                    return await _carry_out(request, handle, admit, takes_json, conditional, keyed, streams)
            except (TimeoutError, DBAPIError) as error:
                told = _late(request, error) or await violation(error, request.scope.get("crm.uow"))
                return _answer_to(told or error, request)
            except Replayed as replayed:
                answer = replayed.answer
                return Response(answer.body, answer.status, {**answer.headers, "Idempotent-Replayed": "true"})
            except RequestValidationError as error:
                return _answer_to(from_validation(error, shown), request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return _answer_to(error, request)

        return run


def about(*entities: type[Record], **verbs: Privilege) -> type[Route]:
    """Routes about records of a kind, or of one of several. ``verbs`` are commands that need another privilege than write."""
    names = tuple(entity.entity() for entity in entities)
    return type(
        "RouteAbout" + "Or".join(entity.__name__ for entity in entities), (Route,), {"entities": names, "verbs": verbs}
    )


async def _carry_out(
    request: Request,
    handle: Handler,
    admit: Admit,
    takes_json: bool,
    conditional: bool,
    keyed: bool,
    streams: bool,
) -> Response:
    runtime: Runtime = request.app.state.runtime
    headers = request.headers
    token = bearer(headers.get("authorization"))
    principal = runtime.tokens.cached(token) or await runtime.tokens.verify(token)
    admit(principal)
    _refuse_many(request.scope["query_string"], "query")
    _refuse_coded(request)
    body = await _read_json(request) if takes_json else b""
    if streams or _is_multipart(request):
        _bound_idleness(request)
    if _is_multipart(request) and not streams:
        HOUSEKEEPER.tidy_soon()
    key = None
    if keyed and (sent := headers.get("idempotency-key")) is not None:
        key = IdempotencyKey.of(principal.id, "POST", request.url.path, sent, body or await _content(request))
    condition = _condition(request, required=conditional)
    uow = UnitOfWork(runtime, principal, request.scope["crm.cause"], key=key, condition=condition)
    request.scope["crm.uow"] = uow
    try:
        if (after := headers.get("crm-after")) is not None:
            await wait_until_projected(request.app.state.groups, uow, after)
        response = await handle(request)
        if request.method not in ("GET", "HEAD"):
            if conditional and condition is not None and not condition.compared:
                raise RuntimeError("no command got the record of the path, so nothing compared If-Match with it")
            await _commit(uow, response)
        return response
    finally:
        await uow.close()


def key_upload(request: Request, uow: UnitOfWork, said: bytes) -> None:
    """Take the Idempotency-Key of a streamed upload. ``said`` is what the request says, such as the digest of a file.

    Call it before the transaction begins.
    """
    if (sent := request.headers.get("idempotency-key")) is not None:
        uow.link.key = IdempotencyKey.of(uow.principal.id, request.method, request.url.path, sent, said)


async def _commit(uow: UnitOfWork, response: Response) -> None:
    if uow.written:
        response.headers["crm-version"] = ", ".join(f"{entity}/{id_}@{version}" for entity, id_, version in uow.written)
    answer = None
    if uow.keyed and 200 <= response.status_code < 300:
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        answer = StoredAnswer(response.status_code, kept, bytes(response.body))
    await uow.commit(answer)


async def unit_of_work(request: Request) -> UnitOfWork:
    """The unit of work that the route opened for this request. Async, or FastAPI would send it through a thread."""
    uow: UnitOfWork = request.scope["crm.uow"]
    return uow


Uow = Annotated[UnitOfWork, Depends(unit_of_work)]


def _is_form(route: APIRoute) -> bool:
    return route.body_field is not None and isinstance(route.body_field.field_info, Form)


def _is_upload(route: APIRoute) -> bool:
    return route.body_field is not None and isinstance(route.body_field.field_info, File)


def _is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lstrip().lower().startswith("multipart/")


SMALLER: Final = "Ask for less at a time, or try again when less is going on."


def _late(request: Request, error: Exception) -> DomainError | None:
    """What it means that a request is out of time, where that is more than that it is not known whether it took effect."""
    uow: UnitOfWork | None = request.scope.get("crm.uow")
    if uow is None or not uow.link.has_asked or not (isinstance(error, TimeoutError) or ran_out_of_time(error)):
        return None
    if uow.link.stands_in_line:
        return uow.reads.too_late(SMALLER)
    ours = ran_out_of_time(error) or seconds_for(request) >= uow.runtime.settings.hop_seconds * ANSWERING_PART
    return uow.reads.too_late(SMALLER) if request.method in SAFE and ours else None


def seconds_for(request: Request) -> float:
    """What is left of the caller's deadline, at most one hop; a read ends early enough to say so. Uploads have an idle limit
    instead."""
    hop: float = request.app.state.runtime.settings.hop_seconds
    longest = hop * ANSWERING_PART if request.method in SAFE else hop
    left = request.headers.get("crm-deadline-ms")
    if left is None:
        return longest
    if not left.isdecimal() or len(left) > 9:
        raise DomainError("invalid-header", "Send Crm-Deadline-Ms as a number of milliseconds.")
    return min(longest, int(left) / 1000)


def _condition(request: Request, *, required: bool) -> Condition | None:
    """What If-Match says of the record that the path names; a path without one, such as that of a create, has none."""
    header = request.headers.get("if-match")
    if header is None:
        if required:
            raise DomainError("if-match-required", 'Send If-Match with the record\'s ETag, or "*" to overwrite.')
        return None
    versions = None if header.strip() == "*" else _versions(header)
    first = next(iter(request.path_params.values()), None)
    named = first if isinstance(first, UUID) else None
    return Condition(named, versions) if required or named is not None else None


def _versions(header: str) -> frozenset[int]:
    if not ETAGS.fullmatch(header):
        raise DomainError("invalid-header", 'Send If-Match as a list of ETags such as "3", or as *.')
    # A weak tag never matches under the strong comparison that If-Match asks for (RFC 9110 §13.1.1).
    return frozenset(
        int(tag) for weak, tag in re.findall(r'(W/)?"([^"]*)"', header) if not weak and ETAG.fullmatch(f'"{tag}"')
    )


async def read_body(request: Request, limit: int | None = None) -> bytes:
    """The body, at most ``limit`` bytes of it, else ``max_body_bytes``; counted while it arrives."""
    known: bytes | None = getattr(request, "_body", None)
    if known is not None:
        return known
    limit = request.app.state.runtime.settings.max_body_bytes if limit is None else limit
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _body_too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _body_too_large(limit)
        chunks.append(chunk)
    if size > LARGE:
        HOUSEKEEPER.tidy_soon()
    request._body = body = b"".join(chunks)
    return body


def _body_too_large(limit: int) -> DomainError:
    return DomainError("body-too-large", f"Send a body of at most {limit} bytes.", members={"limit": limit})


async def _read_form(request: Request) -> None:
    if _is_multipart(request):  # another type makes an empty form, and the route says what is missing
        raise DomainError("unsupported-media-type", f"Send {FORM_TYPE}.")
    _refuse_many(await read_body(request, FORM_BYTES), "form")


async def _content(request: Request) -> bytes:
    """What a keyed request without JSON says: the digest of its form, or its body, which is mostly empty."""
    if not _is_multipart(request):
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
    if content_type not in JSON_TYPES and request.headers.get("content-length", "0") != "0":
        raise _not_json()
    body = await read_body(request)
    if body:
        if content_type not in JSON_TYPES:
            raise _not_json()
        # FastAPI takes the parsed body from here: it is parsed once, and by a parser that refuses NaN and lone surrogates.
        request._json = parse_json(body, request.app.state.runtime.settings.json_depth)
    return body


def _not_json() -> DomainError:
    return DomainError("unsupported-media-type", f"Send {' or '.join(JSON_TYPES)}.")


def parse_json(body: bytes, depth: int) -> Any:
    """The value of a JSON text that is neither too deep nor too large in any direction, found before anything is built of it.

    What has few separators is parsed at once. Else its strings are left out, which is linear, and what remains is counted.
    """
    containers = body.count(b"[") + body.count(b"{")
    many = containers + body.count(b",") + body.count(b":") > FEW
    if many:
        # What is too deep mostly is so from the start, and is told as that, however much follows.
        _refuse_depth(STRINGS.sub(b"", body[:BEGINNING]), depth)
        # A value has four quotes at most, two around its name and two of its own.
        if body.count(b'"') - body.count(b'\\"') > 4 * MAX_VALUES:
            raise _too_much("", "values", MAX_VALUES)
        bare = STRINGS.sub(b"", body)
        containers = bare.count(b"[") + bare.count(b"{")
        if bare.count(b",") + containers > MAX_VALUES:
            raise _too_much("", "values", MAX_VALUES)
        if containers > depth:
            _refuse_depth(bare, depth)
    elif containers > depth:
        _refuse_depth(STRINGS.sub(b"", body), depth)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DomainError("invalid-json", f"Send valid JSON: {error.msg} at {error.pos}.") from error
    if many:
        _refuse_breadth(value, "")
    return value


def _refuse_depth(bare: bytes, limit: int) -> None:
    depth = 0
    for bracket in BRACKETS.finditer(bare):
        if bracket[0] in b"[{":
            depth += 1
            if depth > limit:
                raise DomainError("invalid-json", f"Send JSON that is nested at most {limit} levels deep.")
        else:
            depth -= 1
            if depth < 0:
                return  # what closes more than it opened is no JSON, as the parser will say


def _refuse_breadth(value: Any, pointer: str) -> None:
    """Objects with more members, and arrays with more items, than any schema has: 422 at the first."""
    if isinstance(value, dict):
        if len(value) > MAX_MEMBERS:
            raise _too_much(pointer, "members", MAX_MEMBERS)
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                _refuse_breadth(inner, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        if len(value) > MAX_ITEMS:
            raise _too_much(pointer, "items", MAX_ITEMS)
        for position, inner in enumerate(value):
            if isinstance(inner, dict | list):
                _refuse_breadth(inner, f"{pointer}/{position}")


def _too_much(pointer: str, what: str, limit: int) -> DomainError:
    message = f"Send at most {limit} {what}."
    place = FieldError(pointer, "too-many", message)
    return DomainError(
        "validation",
        "The body does not fit its schema. Correct the fields that errors names.",
        (place,),
        {"limit": limit},
    )


def _refuse_many(encoded: bytes, where: str) -> None:
    """Refuse a query string, or a form, of more parameters than any route takes."""
    if encoded.count(b"&") >= MAX_PARAMETERS:
        message = f"Send at most {MAX_PARAMETERS} parameters in the {where}."
        raise DomainError("invalid-parameter", message, (FieldError(where, "too-many-parameters", message),))


def _refuse_coded(request: Request) -> None:
    """Refuse a body with a content coding, whose content has no bound before it is decoded."""
    codings = request.headers.get("content-encoding", "")
    if any(coding.strip().lower() not in ("", "identity") for coding in codings.split(",")):
        raise UnsupportedCoding


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
            return DomainError("unavailable", "The service is busy. Try again.")
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
            return DomainError("unavailable", "Other requests are changing the same record. Try again.")
        case "23505":
            return DomainError(
                "already-exists", "Send another value: a record with this one exists, and it must be unique."
            )
        case "23503":
            return DomainError("in-use", "Other records refer to this one. Change or delete them first.")
    return None
