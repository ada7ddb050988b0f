"""One HTTP request as one unit of work: who, under which key and condition, by when; commit, then answer."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import File, Form
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError

from crm_contracts.access import Depth, Privilege
from crm_kit.access.privileges import Principal
from crm_kit.access.tokens import bearer
from crm_kit.copies.projected import wait_until_projected
from crm_kit.errors import Forbidden
from crm_kit.http.bodies import (
    bound_idleness,
    content_of,
    is_multipart,
    read_form,
    read_json,
    refuse_coded,
    refuse_many,
)
from crm_kit.http.conditions import condition_of
from crm_kit.http.deadlines import late, seconds_for
from crm_kit.http.failures import answer_to
from crm_kit.http.problems import from_validation
from crm_kit.process.memory import HOUSEKEEPER
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import Record
from crm_kit.work.idempotency import IdempotencyKey, Replayed, StoredAnswer
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.violations import violation

KEPT_HEADERS = ("etag", "location", "content-type", "crm-version", "crm-conflicts", "cache-control", "vary")


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
                    refuse_many(request.scope["query_string"], "query")
                    refuse_coded(request)
                    if takes_json:
                        await read_json(request)
                    elif self.body_field is not None:
                        # Starlette would parse a form of any size; here it is small, and counted first.
                        await read_form(request)
                    return await handle(request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return answer_to(error, request)

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
                unbounded = streams or (uploads and is_multipart(request))
                async with asyncio.timeout(None if unbounded else seconds_for(request)):
                    keyed = self.is_keyed and not streams
                    return await _carry_out(request, handle, admit, takes_json, conditional, keyed, streams)
            except (TimeoutError, DBAPIError) as error:
                told = late(request, error) or await violation(error, request.scope.get("crm.uow"))
                return answer_to(told or error, request)
            except Replayed as replayed:
                answer = replayed.answer
                return Response(answer.body, answer.status, {**answer.headers, "Idempotent-Replayed": "true"})
            except RequestValidationError as error:
                return answer_to(from_validation(error, shown), request)
            except Exception as error:  # noqa: BLE001  # re-raised when nobody foresaw it
                return answer_to(error, request)

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
    refuse_many(request.scope["query_string"], "query")
    refuse_coded(request)
    body = await read_json(request) if takes_json else b""
    if streams or is_multipart(request):
        bound_idleness(request)
    if is_multipart(request) and not streams:
        HOUSEKEEPER.tidy_soon()
    key = None
    if keyed and (sent := headers.get("idempotency-key")) is not None:
        key = IdempotencyKey.of(principal.id, "POST", request.url.path, sent, body or await content_of(request))
    condition = condition_of(request, required=conditional)
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
