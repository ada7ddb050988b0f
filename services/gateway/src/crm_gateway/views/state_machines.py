"""``GET /meta/state-machines``: the state machines of all services in one answer."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_gateway.views.parts import Composer, Part
from crm_kit.http.meta import StateMachine
from crm_kit.http.requests import Route
from crm_kit.store.presenter import to_json

PATH = "/api/v1/meta/state-machines"


class AllStateMachines(BaseModel):
    """The state machines of all services."""

    items: list[StateMachine] = Field(description="One for each entity that has states, by service and entity.")
    parts: dict[str, Part] = Field(description="By service.")


router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)


@router.get("/state-machines", response_model=AllStateMachines, operation_id="list_state_machines")
async def list_state_machines(request: Request) -> Response:
    """Return every state of every entity, and every move with the states from which it is possible.

    The commands use the same table. A service that does not answer is `unavailable` in `parts`.
    """
    composer, upstreams = Composer(request), request.app.state.upstreams
    told = await asyncio.gather(*(composer.ask_items(upstream, PATH) for upstream in upstreams.values()))
    items = [item for one in told if one.error is None for item in one.value["items"]]
    items.sort(key=lambda item: (item["service"], item["entity"]))
    parts = {name: one.part(composer.cause) for name, one in zip(upstreams, told, strict=True)}
    return Response(to_json({"items": items, "parts": parts}), media_type="application/json")
