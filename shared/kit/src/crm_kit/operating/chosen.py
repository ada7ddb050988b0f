"""The choice of stored events in the options of a command."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

RELAY = "relay"
"""The name of the group of events that are not published yet."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Conditions that an event must all meet. Without conditions, all events are chosen."""

    event: UUID | None = None
    group: str | None = None
    type: str | None = None
    """``*`` stands for any characters."""
    reason: str | None = None
    """A part of the error, regardless of case."""
    since: datetime | None = None
    """The earliest instant at which the event was stored."""

    @property
    def is_everything(self) -> bool:
        """Whether there is no condition."""
        return self == EVERYTHING


EVERYTHING = Chosen()


@dataclass
class Where:
    """A condition in SQL and its parameters. Values from an operator become parameters only."""

    parameters: list[Any]
    clauses: list[str] = field(default_factory=list)

    def parameter(self, value: Any) -> str:
        """Add a parameter and return its placeholder."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def inbox(self, chosen: Chosen) -> str:
        """Return the condition for rows of the inbox."""
        if chosen.group is not None:
            self.clauses.append(f"consumer = {self.parameter(chosen.group)}")
        return self._common(chosen, "event_id", "received_at")

    def outbox(self, chosen: Chosen) -> str:
        """Return the condition for rows of the outbox, whose group is the relay."""
        if chosen.group not in (None, RELAY):
            self.clauses.append("false")
        return self._common(chosen, "id", "created_at")

    def _common(self, chosen: Chosen, key: str, at: str) -> str:
        if chosen.event is not None:
            self.clauses.append(f"{key} = {self.parameter(chosen.event)}")
        if chosen.type is not None:
            self.clauses.append(f"type like {self.parameter(_literal(chosen.type).replace('*', '%'))}")
        if chosen.reason is not None:
            self.clauses.append(f"last_error ilike {self.parameter(f'%{_literal(chosen.reason)}%')}")
        if chosen.since is not None:
            self.clauses.append(f"{at} >= {self.parameter(chosen.since)}")
        return " and ".join(self.clauses) or "true"


def _literal(text: str) -> str:
    """Escape a text for LIKE, so that it has no wildcards."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
