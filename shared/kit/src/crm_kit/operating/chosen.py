"""Which of the events that are not where they should be an operator means."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

RELAY = "relay"
"""The group of what is not published yet."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """All of them, unless something is given; what is given must all be so."""

    event: UUID | None = None
    group: str | None = None
    type: str | None = None
    """``*`` stands for anything."""
    reason: str | None = None
    """Part of the error, in upper or lower case."""
    since: datetime | None = None
    """Stored at this time or later."""

    @property
    def is_everything(self) -> bool:
        """Whether nothing is given."""
        return self == EVERYTHING


EVERYTHING = Chosen()


@dataclass
class Where:
    """A condition in SQL and its parameters. Of what an operator gives only parameters are made."""

    parameters: list[Any]
    clauses: list[str] = field(default_factory=list)

    def parameter(self, value: Any) -> str:
        """The place of another parameter."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def inbox(self, chosen: Chosen) -> str:
        """The condition for rows of the inbox."""
        if chosen.group is not None:
            self.clauses.append(f"consumer = {self.parameter(chosen.group)}")
        return self._common(chosen, "event_id", "received_at")

    def outbox(self, chosen: Chosen) -> str:
        """The condition for rows of the outbox, whose group is the relay."""
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
    """What stands for itself in a pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
