"""The life of a plain entity, played from the examples in its schemas: no test has to be told of it."""

import re
from typing import Any, Final, get_type_hints

from fastapi.routing import APIRoute

from crm_contracts.catalogue import Entity, all_entities, events_about
from crm_kit.http.routers import find_routers

from .journey import Json, Sales

COMMANDS: Final = {"deactivated": "deactivate", "activated": "activate", "assigned": "assign"}
"""The commands of plain entities by their facts, in the order in which they can be sent."""
ALWAYS: Final = {"created", "updated", "deleted", "snapshot"}
BODY: Final = {"POST": r"/[^/]+", "PATCH": r"/[^/]+/\{[^/]+\}"}
"""The paths of creates and patches."""


def facts_of(entity: Entity) -> set[str]:
    return {event.type.split(".")[3] for event in events_about(entity)}


def example_of(entity: Entity, method: str) -> Json:
    """Return the first example of the body of a create or a patch."""
    routes = (route for router in find_routers("crm_sales") for route in router.routes if isinstance(route, APIRoute))
    for route in routes:
        is_ours = route.path.startswith(f"/{entity.collection}") and re.fullmatch(BODY[method], route.path)
        if is_ours and method in (route.methods or set()):
            schema: Any = get_type_hints(route.endpoint)["body"]
            example: Json = schema.model_config["json_schema_extra"]["examples"][0]
            return example
    raise LookupError(f"{entity.name} has no {method}")


def plain_entities() -> list[Entity]:
    """Return the entities of sales that have no other events, and whose example of a create names no other record."""
    ours = (entity for entity in all_entities() if entity.service == "sales")
    plain = [entity for entity in ours if ALWAYS <= facts_of(entity) <= ALWAYS | COMMANDS.keys()]
    return [entity for entity in plain if not any("_id" in name for name in example_of(entity, "POST"))]


async def play_plain(sales: Sales, to_grace: Json) -> None:
    """Cause every event of every plain entity, and leave a record of each."""
    for entity in plain_entities():
        made = await sales.make(entity.collection, **example_of(entity, "POST"))
        changed = await sales.patch(entity.collection, made, **example_of(entity, "PATCH"))
        assert changed["version"] == 2, f"The example of {entity.name}'s patch changes nothing that its create sets."
        for fact, command in COMMANDS.items():
            if fact in facts_of(entity):
                await sales.act(entity.collection, made, command, **(to_grace if fact == "assigned" else {}))
        assert (await sales.delete(entity.collection, made)).status == 204
        await sales.make(entity.collection, **example_of(entity, "POST"))
