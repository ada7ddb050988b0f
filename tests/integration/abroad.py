"""The records that the examples in an OpenAPI document refer to: those of other services and the service's own."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
from fastapi import FastAPI

from crm_contracts.catalogue import Entity, entity_for, events_about
from crm_contracts.sales.lead import LeadSnapshot
from crm_contracts.samples import sample
from crm_kit import clock
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.records.patch import plain
from crm_kit.store.record import Record, new_id, stored_columns
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork, system_principal
from tests.integration.bodies import body_of


async def hear_of_what_examples_refer_to(app: FastAPI) -> None:
    """Make the examples of the requests to a running service work.

    The service handles a snapshot of each foreign record as its worker would, and its own records are inserted.
    """
    consumers: Consumers = app.state.groups
    bound = {(group.name, source): clock.now() for group, source in consumers.sources()}
    document = app.openapi()
    operations = (one for methods in document["paths"].values() for one in methods.values())
    found = {ref for operation in operations for ref in _references(body_of(document, operation))}
    messages = [
        snapshot(entity, id_)
        for kind, id_ in sorted(found)
        if (entity := entity_for(kind)) is not None and consumers.following(entity.service, entity.name)
    ]
    await Dispatcher(consumers, app.state.runtime, bound).settle(messages)
    await _make(app, found)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and isinstance(value.get("id"), str):
            yield value["type"], value["id"]
        for name, one in value.items():
            if isinstance(one, str) and name.endswith("_id") and entity_for(name.removesuffix("_id")) is not None:
                yield name.removesuffix("_id"), one
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        yield from _references(inner)


SAMPLE_OWNER = UUID(sample(LeadSnapshot)["ownerid"])
"""The default owner of records that have an owner."""


def snapshot(entity: Entity, record_id: str, owner: UUID = SAMPLE_OWNER) -> Message:
    """Return the snapshot that the record's service would publish on request."""
    event = _event(entity, "snapshot")
    document = sample(event)
    document |= {"id": str(new_id()), "subject": record_id}
    if entity.owned:
        document["ownerid"] = document["data"]["record"]["owner_id"] = str(owner)
    document["data"]["record"]["id"] = record_id
    return Message.read(orjson.dumps(document))


def _event(entity: Entity, fact: str) -> Any:
    [event] = [event for event in events_about(entity) if f".{fact}.v" in event.type]
    return event


async def _make(app: FastAPI, wanted: set[tuple[str, str]]) -> None:
    """Insert the service's own records, as in the samples of its events, with the ids in the examples."""
    runtime, own = app.state.runtime, {entity.entity(): entity for entity in app.state.service.entities}
    missing = []
    for kind, id_ in sorted(wanted):
        if kind in own:
            table = own[kind].__table__
            async with runtime.db.autocommit() as conn:
                if (await conn.execute(table.select().where(table.c.id == UUID(id_)))).first() is None:
                    missing.append((own[kind], id_))
    uow = UnitOfWork(runtime, system_principal(runtime.service), Cause(correlation_id="what examples refer to"))
    for model, id_ in missing:
        entity = entity_for(model.entity())
        assert entity is not None
        created = _event(entity, "created")
        uow.add(model(id=UUID(id_), **_columns(model, sample(created)["data"]["record"])), created)
    await uow.commit()
    await uow.close()


def _columns(model: type[Record], shown: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a record as it is shown, without references inside its own service."""
    record, values = model.record_model.model_validate(shown), dict[str, Any]()
    for name in set(stored_columns(model)) - {"id"}:
        stem, _, part = name.rpartition("_")
        if model.__table__.c[name].foreign_keys:
            values[name] = None
        elif name in shown:
            values[name] = plain(getattr(record, name))
        elif shown.get(stem) is not None:
            values[name] = plain(getattr(getattr(record, stem), part))
    return values
