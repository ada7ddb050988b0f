"""The title and the facts of an event in a timeline. They contain neither free texts nor names of people."""

from collections.abc import Mapping
from typing import Any, Final

from crm_contracts.catalogue import Event, event_for
from crm_contracts.envelope import parse_type

Data = Mapping[str, Any]

RESOLUTION: Final = ("kind", "minutes", "billable_minutes", "resolved_at", "reversed_at")
"""The fields kept of a reversed resolution. Its text is not kept."""


def shown_facts(type_: str, data: Data) -> dict[str, Any] | None:
    """Return the event data to store: its facts, the names of changed fields, the new owner."""
    event = event_for(type_)
    if event is None:
        return None
    record = data.get("record") or {}
    known = {"kind": record["kind"]} if event.entity.kinds and "kind" in record else {}
    facts = _facts(event, data)
    return {**known, **(facts or {})} if known else facts


def _facts(event: type[Event], data: Data) -> dict[str, Any] | None:
    if event.timeline:
        return {name: data.get(name) for name in event.timeline}
    match parse_type(event.type).fact:
        case "updated":
            return {"changed": sorted(data.get("changed") or ())}
        case "assigned":
            return {name: _principal(data.get(name)) for name in ("previous_owner", "new_owner")}
        case "stage_changed":
            return {name: (data.get(name) or {}).get("name") for name in ("from_stage", "to_stage")}
        case "reactivated":
            reversed_ = data.get("reversed_resolution")
            return {"reversed_resolution": {name: reversed_.get(name) for name in RESOLUTION} if reversed_ else None}
    return None


def _principal(owner: Any) -> dict[str, Any] | None:
    return {"type": owner.get("owner_type"), "id": owner.get("owner_id")} if isinstance(owner, Mapping) else None


def title_of(type_: str, data: Data) -> str:
    """Return a title of one line: *Lead qualified*, *Deal won: 1200.00 EUR*."""
    _, entity, fact, _ = parse_type(type_)
    event = event_for(type_)
    if event is None:
        return f"{entity.capitalize()} {fact}".replace("_", " ")
    title = f"{event.entity.label_of(data.get('kind'))} {event.phrase or fact.replace('_', ' ')}"
    detail = _headline(data.get(event.headline)) if event.headline else _detail(fact, data)
    return f"{title}: {detail}" if detail else title


def _headline(value: Any) -> str | None:
    match value:
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case str() if value:
            return value.replace("_", " ")
    return None


def _detail(fact: str, data: Data) -> str | None:
    match fact:
        case "updated":
            return ", ".join(name.replace("_", " ") for name in data.get("changed") or ())
        case "revised" if data.get("next_revision"):
            return f"revision {data['next_revision']}"
        case "stage_changed":
            return f"{data.get('from_stage')} → {data.get('to_stage')}"
    return None
