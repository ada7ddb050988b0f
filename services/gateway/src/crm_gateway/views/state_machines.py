"""``GET /meta/state-machines``: what every service says of its entities, in one answer."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from crm_gateway.proxy.upstream import Upstream, Upstreams
from crm_kit import clock
from crm_kit.announcing import Cause
from crm_kit.errors import DomainError
from crm_kit.meta import StateMachine
from crm_kit.problems import status_of
from crm_kit.records.presenter import to_json
from crm_kit.requests import Route

PATH = "/api/v1/meta/state-machines"


class Part(BaseModel):
    """Whether a service has answered, and when."""

    status: str = Field(description="ok or unavailable: its entities are then missing.", examples=["ok"])
    as_of: AwareDatetime = Field(description="When the service was asked.")
    problem: dict[str, Any] | None = Field(None, description="Why it is unavailable.")


class AllStateMachines(BaseModel):
    """The state machines of all services."""

    items: list[StateMachine] = Field(description="One for each entity that has states, by service and entity.")
    parts: dict[str, Part] = Field(description="By service.")


router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)


@router.get("/state-machines", response_model=AllStateMachines, operation_id="list_state_machines")
async def list_state_machines(request: Request) -> Response:
    """Every state of every entity, and every move with the states it is possible from.

    This is the table the commands themselves follow. A service that does not answer is `unavailable` in `parts`.
    """
    upstreams: Upstreams = request.app.state.upstreams
    told = await asyncio.gather(*(_ask(upstream, request) for upstream in upstreams.values()))
    items = [item for found, _ in told for item in found]
    items.sort(key=lambda item: (item["service"], item["entity"]))
    body = {"items": items, "parts": dict(zip(upstreams, (part for _, part in told), strict=True))}
    return Response(to_json(body), media_type="application/json")


async def _ask(upstream: Upstream, request: Request) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    cause: Cause = request.scope["crm.cause"]
    headers = [
        ("authorization", request.headers["authorization"]),
        ("accept", "application/json"),
        ("crm-correlation-id", cause.correlation_id),
        *([("traceparent", cause.traceparent)] if cause.traceparent else []),
    ]
    try:
        answer = await upstream.fetch(PATH, headers)
        if answer.status != 200:
            raise DomainError("upstream-failed", f"The {upstream.name} service answered {answer.status}.")
        return orjson.loads(answer.body)["items"], {"status": "ok", "as_of": clock.now()}
    except DomainError as error:
        problem = {"type": f"/problems/{error.slug}", "status": status_of(error.slug), "detail": error.detail}
        return [], {"status": "unavailable", "as_of": clock.now(), "problem": problem}
