"""What a service tells about itself: its state machines as data."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_kit.http.requests import Route
from crm_kit.process.runtime import Service
from crm_kit.store.presenter import to_json
from crm_kit.store.record import Stateful


class Move(BaseModel):
    """One command: where it starts and where it leads."""

    sources: list[str] = Field(alias="from", description="States it is possible from.", examples=[["open/in_progress"]])
    targets: list[str] = Field(
        alias="to", description="States it leads to; with several, `reason` chooses, and the first is the default."
    )


class StateMachine(BaseModel):
    """The states of one entity and the moves between them. A state is `status/status_reason`."""

    entity: str = Field(description="Singular name, as in events and references.", examples=["lead"])
    service: str = Field(description="The service that owns it.", examples=["sales"])
    initial: str = Field(description="Where a new record starts.", examples=["open/new"])
    states: list[str] = Field(description="Every state there is.")
    moves: dict[str, Move] = Field(description="By command.")
    by_time: dict[str, Move] = Field(description="Moves that nobody commands: they happen when a moment has passed.")
    by_others: dict[str, Move] = Field(
        description="Moves that nobody commands on the record: a command on another record makes them."
    )


class StateMachines(BaseModel):
    """The state machines of a service."""

    items: list[StateMachine] = Field(description="One for each entity with a status.")


def state_machines_router(service: Service) -> APIRouter:
    """``GET /meta/state-machines`` of one service; the gateway merges them all."""
    items = [
        {"entity": entity.entity(), "service": service.name, **entity.lifecycle.describe()}
        for entity in service.entities
        if issubclass(entity, Stateful)
    ]
    answer = to_json({"items": items})
    router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)

    @router.get("/state-machines", response_model=StateMachines, operation_id="list_state_machines")
    async def list_state_machines() -> Response:
        """Every state and every move of this service's entities, as the commands follow them."""
        return Response(answer, media_type="application/json")

    return router
