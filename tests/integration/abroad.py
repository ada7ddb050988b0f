"""Records of other services that the examples in an OpenAPI document refer to."""

from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import FastAPI

from crm_contracts.catalogue import Entity, entity_for, events_about
from crm_contracts.samples import sample
from crm_kit import clock
from crm_kit.consumers import Consumers
from crm_kit.db import new_id
from crm_kit.dispatch import Dispatcher, Message


async def hear_of_what_examples_refer_to(app: FastAPI) -> None:
    """Let a running service take a snapshot of each of them, as its worker would: then its examples work."""
    consumers: Consumers = app.state.groups
    bound = {(group.name, source): clock.now() for group, source in consumers.sources()}
    schemas = app.openapi()["components"]["schemas"].values()
    found = {ref for schema in schemas for ref in _references(schema.get("examples", []))}
    messages = [
        _snapshot(entity, id_)
        for kind, id_ in sorted(found)
        if (entity := entity_for(kind)) is not None and consumers.following(entity.service, entity.name)
    ]
    await Dispatcher(consumers, app.state.runtime, bound).settle(messages)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if {"type", "id"} <= value.keys():
            yield value["type"], value["id"]
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        yield from _references(inner)


def _snapshot(entity: Entity, record_id: str) -> Message:
    [event] = [event for event in events_about(entity) if ".snapshot.v" in event.type]
    document = sample(event)
    document |= {"id": str(new_id()), "subject": record_id}
    document["data"]["record"]["id"] = record_id
    return Message.read(orjson.dumps(document))
