"""Declares a copy: the entities of its records, the facts that it keeps of them, and its handler group."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_contracts.catalogue import Entity, happenings
from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected, project
from crm_kit.events.consumers import Consumers, Unprocessable
from crm_kit.work.uow import UnitOfWork

Facts = Callable[[Envelope], Mapping[str, Any]]
"""Returns what a copy keeps of an event, by column. The columns are the same for every event."""


def keep_copy(
    consumers: Consumers, group: str, model: type[Projected], *entities: Entity, facts: Facts, kind: str | None = None
) -> None:
    """Register a projection that keeps a row for each record of these entities. All events of the entities update it.

    Events are not validated against their contract. ``facts`` reads what it needs, and raises Unprocessable if it cannot.
    ``kind`` is the column with the entity's name, if the table holds records of several services. A ``.deleted`` event marks
    the row as deleted, unless the facts contain another value of ``deleted``.
    """

    async def keep(events: Sequence[Envelope], uow: UnitOfWork) -> None:
        await project(uow, model, [(event, facts(event)) for event in events])

    happened = [event for entity in entities for event in happenings(entity)]
    consumers.raw_projection(*happened, group=group)(keep)
    consumers.keeps(group, model.__tablename__, *entities, kind=kind)


def fields(**readers: Callable[[Any], Any]) -> Facts:
    """Return a function that reads fields of an event's record, each with its reader.

    The function raises Unprocessable for a field that cannot be read, so that the event is parked without retries.
    """

    def facts(envelope: Envelope) -> Mapping[str, Any]:
        record, found = envelope.data["record"], dict[str, Any]()
        for name, read in readers.items():
            try:
                found[name] = read(record[name])
            except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
                # The error does not contain the value, because values must not be logged.
                raise Unprocessable(f"data.record has no {name}, or one that is not what it should be") from error
        return found

    return facts


def text(value: Any) -> str:
    """Read a text. Raises TypeError for any other value."""
    if not isinstance(value, str):
        raise TypeError
    return value


def amount(value: Any) -> Decimal:
    """Read the amount of money without its currency. Raises KeyError, TypeError or ArithmeticError for another value."""
    return Decimal(text(value["amount"]))


def ids(value: Any) -> list[str]:
    """Read a list of ids. Raises ValueError if one of them is not a UUID."""
    return [str(UUID(one)) for one in value]


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that also accepts null."""
    return lambda value: None if value is None else read(value)
