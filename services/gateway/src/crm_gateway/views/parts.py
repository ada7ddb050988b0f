"""Compose an answer from several services: each part has a time limit, and is marked if it is missing."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Request
from pydantic import AwareDatetime, BaseModel, Field

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.proxy.refusing import makes_no_sense, refusal
from crm_gateway.proxy.upstream import DeadlineExceeded, Upstream, Upstreams
from crm_gateway.routes import upstream_of
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.http.deadlines import seconds_for
from crm_kit.http.failures import trace_id
from crm_kit.http.problems import Problem, problem
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

MARGIN_SECONDS: Final = 0.15
"""Time kept back from the caller's deadline to mark late parts and write the answer."""

FORWARDED: Final = ("authorization", "crm-after", "accept-language", "user-agent")


class Part(BaseModel):
    """Whether a part of the answer is available, and the time it was read at."""

    status: str = Field(description="`ok`, or `unavailable`: the part is then missing, not empty.")
    as_of: AwareDatetime = Field(description="When it was requested.")
    problem: Problem | None = Field(
        None, description="Why it is unavailable: the problem that its own path answers with."
    )


@dataclass(frozen=True, slots=True)
class Told:
    """The outcome of a request for one part: its value, or the error."""

    target: str
    """The requested path with its query; empty if no request was needed."""
    as_of: datetime
    value: Any = None
    error: DomainError | None = None

    @property
    def path(self) -> str:
        """The requested path."""
        return self.target.partition("?")[0]

    def part(self, cause: Cause) -> dict[str, Any]:
        """Return the outcome as ``Part``."""
        if self.error is None:
            return {"status": "ok", "as_of": self.as_of}
        told = orjson.loads(bytes(problem(self.error, self.path, trace_id(cause)).body))
        return {"status": "unavailable", "as_of": self.as_of, "problem": told}


class Composer:
    """Calls services on behalf of one caller, with the caller's token and one deadline."""

    def __init__(self, request: Request, *, seconds: float | None = None) -> None:
        """``seconds`` take the place of the caller's deadline, for an answer that is kept for others."""
        self.cause: Cause = request.scope["crm.cause"]
        uow: UnitOfWork = request.scope["crm.uow"]
        self._caller = uow.principal.id
        self._upstreams: Upstreams = request.app.state.upstreams
        self._until = (
            asyncio.get_running_loop().time() + (seconds_for(request) if seconds is None else seconds) - MARGIN_SECONDS
        )
        self._headers = [(name, value) for name in FORWARDED if (value := request.headers.get(name)) is not None]
        self._headers += [("accept", "application/json"), ("crm-correlation-id", self.cause.correlation_id)]
        if self.cause.traceparent:
            self._headers.append(("traceparent", self.cause.traceparent))

    async def ask(self, target: str) -> Told:
        """GET a path with its query from the service that owns it.

        Errors that can be shown as a problem are not raised.
        """
        owner = upstream_of(target.partition("?")[0])
        upstream = self._upstreams.get(owner or "")
        if upstream is None:
            gone = Unavailable(said("The service '{service}' is not part of this installation.", service=owner))
            return Told(target, clock.now(), error=gone)
        return await self.ask_service(upstream, target)

    async def ask_list(self, target: str) -> Told:
        """GET a list in the same way. An answer without ``items`` and ``next`` counts as an error."""
        return _with(await self.ask(target), str(upstream_of(target.partition("?")[0])), "items", "next")

    async def ask_items(self, upstream: Upstream, target: str, *members: str) -> Told:
        """GET a path that every service has, in the same way. An answer without ``items`` or ``members`` counts as an error."""
        return _with(await self.ask_service(upstream, target), upstream.name, "items", *members)

    async def ask_service(self, upstream: Upstream, target: str) -> Told:
        """GET a path that every service has, in the same way."""
        as_of = clock.now()
        left = self._until - asyncio.get_running_loop().time()
        try:
            if left <= 0:
                raise DeadlineExceeded(upstream.name)
            answer = await upstream.fetch(target, self._headers, left, self._caller)
            if answer.status != 200:
                raise refusal(upstream.name, answer)
            return Told(target, as_of, orjson.loads(answer.body))
        except DomainError as error:
            return Told(target, as_of, error=error)
        except orjson.JSONDecodeError:
            return Told(target, as_of, error=makes_no_sense(upstream.name, said("no JSON")))


def _with(told: Told, service: str, *members: str) -> Told:
    if told.error is not None:
        return told
    value = told.value
    if not (isinstance(value, dict) and value.keys() >= set(members) and isinstance(value["items"], list)):
        return Told(told.target, told.as_of, error=makes_no_sense(service, said("no list")))
    return told
