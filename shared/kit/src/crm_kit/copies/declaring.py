"""One declaration of a copy: whose records it has, which facts of them it keeps, and in which handler group."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_contracts.catalogue import Entity, happenings
from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected, project
from crm_kit.events.consumers import Consumers, Unprocessable
from crm_kit.work.uow import UnitOfWork

Facts = Callable[[Envelope], Mapping[str, Any]]
"""What a copy keeps of an event, by column. Every event names the same columns."""


def keep_copy(
    consumers: Consumers, group: str, model: type[Projected], *entities: Entity, facts: Facts, kind: str | None = None
) -> None:
    """Keep a row for each record of these entities, as every event about it and its snapshot say.

    Events are not read through their contract: ``facts`` reads what it needs, and raises Unprocessable where it cannot.
    ``kind`` is the column with the entity's name, where the table holds several services' records. A ``.deleted`` event marks
    the row as deleted, unless the facts say something else of ``deleted``.
    """

    async def keep(events: Sequence[Envelope], uow: UnitOfWork) -> None:
        await project(uow, model, [(event, facts(event)) for event in events])

    happened = [event for entity in entities for event in happenings(entity)]
    consumers.raw_projection(*happened, group=group)(keep)
    consumers.keeps(group, model.__tablename__, *entities, kind=kind)


def fields(**readers: Callable[[Any], Any]) -> Facts:
    """Fields of the record that an event carries, each by what reads it. What cannot be read is parked: no retry mends it."""

    def facts(envelope: Envelope) -> Mapping[str, Any]:
        record, found = envelope.data["record"], dict[str, Any]()
        for name, read in readers.items():
            try:
                found[name] = read(record[name])
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                # What the field holds is not for the log.
                raise Unprocessable(f"data.record has no {name}, or one that is not what it should be") from error
        return found

    return facts


def text(value: Any) -> str:
    """A text, and nothing else. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError
    return value


def ids(value: Any) -> list[str]:
    """A list of ids. Raises ValueError."""
    return [str(UUID(one)) for one in value]


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same, or null."""
    return lambda value: None if value is None else read(value)
