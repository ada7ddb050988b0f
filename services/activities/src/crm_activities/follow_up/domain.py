"""How a rule becomes a task."""

from datetime import datetime, timedelta

SUBJECT_LENGTH = 200


def subject_of(template: str, name: str | None) -> str:
    """The task's subject, at most 200 characters. Only ``{name}`` means something: names are data, never a format."""
    subject = template.replace("{name}", name or "").strip()
    return subject if len(subject) <= SUBJECT_LENGTH else subject[: SUBJECT_LENGTH - 1].rstrip() + "…"


def due_at(happened_at: datetime, days: int) -> datetime:
    """So many days after the event, at the same time of day (UTC)."""
    return happened_at + timedelta(days=days)
