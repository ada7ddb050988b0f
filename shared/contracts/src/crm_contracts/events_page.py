"""Makes the page of the catalogue for people, `docs/events.md`."""

from itertools import groupby

from .catalogue import Event, all_entities, events_about


def events_page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Events",
        "",
        "<!-- Written by `./crm contracts generate`. -->",
        "",
        "Every event carries `record` (the whole record) and `changed` (old and new values); *facts* are what it says",
        "beyond them. The type is the routing key on the topic exchange `crm.events`. A `snapshot` is sent on request",
        "to one queue only. How to subscribe: [subscribing.md](subscribing.md).",
        "",
        "An e-mail address may have letters of every script, in its local part and in its domain (RFC 6531). The schemas",
        "call its format `email`, as they did before.",
    ]
    for service, entities in groupby(all_entities(), key=lambda entity: entity.service):
        lines += ["", f"## {service}"]
        for entity in entities:
            lines += ["", f"### {entity.name}", "", "| Type | What happened | Facts |", "|---|---|---|"]
            lines += [f"| `{event.type}` | {event.summary()} | {_facts(event)} |" for event in events_about(entity)]
    return "\n".join(lines) + "\n"


def _facts(event: type[Event]) -> str:
    facts = [name for name in event.model_fields if name not in Event.model_fields]
    return ", ".join(f"`{name}`" for name in facts) or "–"
