"""Makes the AsyncAPI 3.0 document of all events, for the tools of subscribers."""

from collections.abc import Mapping
from typing import Any, Final

from .catalogue import Entity, Event, all_entities, all_events, events_about
from .envelope import CONTENT_TYPE, EXCHANGE, HEADERS, OPTIONAL, REQUIRED, SPECVERSION
from .examples import example
from .schemas import bundle

_SCHEMAS = "#/components/schemas/"

_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "specversion": {"type": "string", "const": SPECVERSION, "description": "Version of CloudEvents."},
    "id": {
        "type": "string",
        "format": "uuid",
        "description": "Id of the event (UUIDv7) and of the AMQP message. An event that arrives several times has the same id.",
    },
    "source": {"type": "string", "description": "Service that published the event.", "examples": ["/crm/sales"]},
    "type": {"type": "string", "description": "Type of the event, which is also the routing key."},
    "subject": {"type": "string", "format": "uuid", "description": "Id of the record."},
    "time": {"type": "string", "format": "date-time", "description": "When it happened, UTC."},
    "datacontenttype": {"type": "string", "description": "Always application/json."},
    "dataschema": {
        "type": "string",
        "format": "uri",
        "description": "Absolute URI of the JSON Schema of `data`, which the gateway serves at `/schemas/<type>.json`.",
    },
    "entityversion": {
        "type": "integer",
        "minimum": 1,
        "description": "Version of the record after the event. Within an epoch, the versions of a record have no gaps, so they "
        "show the order of events and missing events.",
    },
    "actor": {
        "type": "string",
        "description": "Who caused the event: `user:<id>`, `client:<id>`, `system:<service>` or `operator:<login>`.",
    },
    "correlationid": {"type": "string", "description": "The same id for all events that one request caused."},
    "causationid": {"type": "string", "description": "Id of the event that caused this one."},
    "ownerid": {"type": "string", "format": "uuid", "description": "Owner of the record, if it has one."},
    "businessunit": {"type": "string", "format": "uuid", "description": "Business unit of the owner."},
    "traceparent": {"type": "string", "description": "W3C trace context."},
    "tracestate": {"type": "string", "description": "W3C trace state."},
    "epoch": {
        "type": "integer",
        "minimum": 0,
        "description": "Increases when the publisher's database is restored from a backup. A missing value means 0. An event of "
        "a higher epoch is newer than any event of a lower one, whatever its `entityversion`.",
    },
}


VERSION: Final = "1.0.0"
"""The version of the contracts, which is that of the last release (`crm contracts release`)."""


def document() -> dict[str, Any]:
    """Return the document."""
    schemas = bundle()
    titles = {name: schema.get("title", name) for name, schema in schemas["$defs"].items()}
    entities = all_entities()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Liaison events",
            "version": VERSION,
            "description": "Every change of every record, as CloudEvents 1.0 in structured mode on the topic exchange "
            f"`{EXCHANGE}`; the routing key is the event's type. Delivery is at least once, in order per record on "
            "first delivery. Ignore fields, enum values and event types that you do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_channel_id(entity): _channel(entity) for entity in entities},
        "operations": {f"publish_{_channel_id(entity)}": _operation(entity) for entity in entities},
        "components": {
            "messages": {event.__name__: _message(event) for event in all_events()},
            "schemas": {
                "Envelope": {
                    "title": "Envelope",
                    "type": "object",
                    "properties": {name: _ATTRIBUTES[name] for name in (*REQUIRED, *OPTIONAL) if name != "data"},
                    "required": [name for name in REQUIRED if name != "data"],
                },
                **{
                    f"{event.__name__}Data": _named(schemas["events"][event.type], f"{event.__name__}Data", titles)
                    for event in all_events()
                },
                **{name: _named(schema, name, titles) for name, schema in schemas["$defs"].items()},
            },
        },
    }


def _channel_id(entity: Entity) -> str:
    return f"{entity.service}_{entity.name}"


def _channel(entity: Entity) -> dict[str, Any]:
    prefix = f"crm.{entity.service}.{entity.name}."
    return {
        "address": prefix + "{fact}",
        "description": f"What happens to records of `/{entity.collection}`.",
        "parameters": {
            "fact": {
                "description": "What happened, with its major version.",
                "enum": [event.type.removeprefix(prefix) for event in events_about(entity)],
            }
        },
        "messages": {
            event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in events_about(entity)
        },
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _operation(entity: Entity) -> dict[str, Any]:
    channel = f"#/channels/{_channel_id(entity)}"
    return {
        "action": "send",
        "summary": f"The {entity.service} service publishes events of {entity.name.replace('_', ' ')} records.",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"} for event in events_about(entity)],
    }


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": event.summary(),
        "contentType": CONTENT_TYPE,
        "examples": [{"name": event.type, "summary": event.summary(), "payload": example(event)}],
        "headers": {
            "title": "Headers",
            "type": "object",
            "properties": {name: _ATTRIBUTES[name] for name in HEADERS},
        },
        "payload": {
            "title": event.__name__,
            "allOf": [
                {"$ref": f"{_SCHEMAS}Envelope"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "const": event.type},
                        "data": {"$ref": f"{_SCHEMAS}{event.__name__}Data"},
                    },
                    "required": ["data"],
                },
            ],
        },
    }


def _named(schema: dict[str, Any], name: str, titles: Mapping[str, str]) -> Any:
    """Return a schema for this document in which everything that becomes a type of its own has a title.

    Generators of code name types by titles, and make up names such as `AnonymousSchema_2301` where there is none.
    """
    return _moved(_titled({**schema, "title": name}, name, titles))


def _titled(schema: Any, name: str, titles: Mapping[str, str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    node = dict(schema)
    if "enum" in node or "properties" in node:
        node.setdefault("title", name)
    if "allOf" in node:
        # A reference with a description beside it: generators merge both into a type.
        node["title"] = titles[node["allOf"][0]["$ref"].removeprefix("#/$defs/")]
    for part in ("anyOf", "oneOf"):
        if part in node:
            node[part] = [_titled(one, name, titles) for one in node[part]]
    for part in ("items", "additionalProperties"):
        if part in node:
            node[part] = _titled(node[part], name, titles)
    if "properties" in node:
        owner = node["title"]
        node["properties"] = {
            field: _titled(one, owner + field.title().replace("_", ""), titles)
            for field, one in node["properties"].items()
        }
    return node


def _moved(schema: Any) -> Any:
    """Return a schema whose references point into this document instead of the bundle."""
    if isinstance(schema, list):
        return [_moved(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", _SCHEMAS) if key == "$ref" else _moved(value) for key, value in schema.items()
    }
