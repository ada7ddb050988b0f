"""The rules of a removal: what the answers of the services decide."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from crm_contracts.catalogue import all_entities
from crm_contracts.removals import HandoverStatus, RemovalStatus
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "counting/counting",
    {"cancel": ({"counting/counting", "moving/moving"}, "refused/refused")},
    by_others={
        "transfer": ({"counting/counting"}, "moving/moving"),
        "refuse": ({"counting/counting", "moving/moving"}, "refused/refused"),
        "complete": ({"counting/counting", "moving/moving"}, "completed/completed"),
    },
)
"""The DELETE of a principal begins a removal. The answers of services end it, unless a person cancels it before."""

OPEN = frozenset({RemovalStatus.COUNTING, RemovalStatus.MOVING})
"""States in which services have not yet answered."""

OWNS_RECORDS = "owns-records"
"""The reason for a refusal, and the type of the problem."""

SUPERSEDED = "superseded"

CANCELED = "canceled"
"""The reason for a refusal when a person canceled the removal."""

NOT_ANSWERED = "not-answered"
"""The reason for a refusal when a service answered too late, so that the numbers of the others say nothing any more."""

CURRENT = timedelta(minutes=1)
"""How long after its beginning the numbers of a removal decide about it."""


def owning_services() -> list[str]:
    """Return the services whose records have owners. Each of them must answer."""
    return sorted({entity.service for entity in all_entities() if entity.owned})


def asked() -> list[dict[str, Any]]:
    """Return the parts of a new removal."""
    return [_part(service, HandoverStatus.ASKED, 0, 0) for service in owning_services()]


def answered(
    parts: Sequence[Mapping[str, Any]], service: str, status: str, owned: int, moved: int
) -> list[dict[str, Any]]:
    """Return the parts with the answer of one service."""
    return [_part(service, status, owned, moved) if part["service"] == service else {**dict(part)} for part in parts]


def decided(status: str, parts: Sequence[Mapping[str, Any]]) -> RemovalStatus | None:
    """Return the state that the answers lead to; None while one is missing.

    Without a transfer, the principal is deleted only if no service counted a record. With one, each service has to be done.
    """
    states = {part["status"] for part in parts}
    if status == RemovalStatus.COUNTING and HandoverStatus.ASKED not in states:
        return RemovalStatus.REFUSED if any(part["owned"] for part in parts) else RemovalStatus.COMPLETED
    if status == RemovalStatus.MOVING and states == {HandoverStatus.COMPLETED}:
        return RemovalStatus.COMPLETED
    return None


def is_stuck(parts: Sequence[Mapping[str, Any]], age: timedelta) -> bool:
    """Whether a service has not answered in time. Another request may then replace the removal."""
    return age > CURRENT and any(part["status"] == HandoverStatus.ASKED for part in parts)


def _part(service: str, status: str, owned: int, moved: int) -> dict[str, Any]:
    return {"service": service, "status": str(status), "owned": owned, "moved": moved}
