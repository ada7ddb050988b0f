"""Failures: the rows in which events and messages are stored that did not take effect."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import uniform
from uuid import NAMESPACE_OID, UUID, uuid5

from crm_kit import clock
from crm_kit.broker.messages import Delivery
from crm_kit.events.consumers import Group
from crm_kit.events.deferred import LAST_ATTEMPT, RETRY_SECONDS, Failure
from crm_kit.events.inbox import EventKey
from crm_kit.events.received import PERMANENT, Message, describe, in_vain


def key_of(message: Message, group: Group) -> EventKey:
    """Return the key of an event in a group."""
    return EventKey(group.name, message.envelope.source, message.envelope.id)


def failure_of(message: Message, group: Group, error: BaseException | None) -> Failure:
    """Return the failure to store for an event and its error: parked after the last attempt, or if a retry is useless."""
    attempts = max(1, message.attempts)
    error = in_vain(message, error) or error
    parked = isinstance(error, PERMANENT) or attempts >= LAST_ATTEMPT
    wait = None if parked else timedelta(seconds=RETRY_SECONDS[attempts - 1] * uniform(0.9, 1.1))
    return _stored(
        message,
        group,
        state="parked" if parked else "pending",
        attempts=attempts,
        next_attempt_at=None if wait is None else clock.now() + wait,
        error=describe(error),
    )


def aside(message: Message, group: Group, place: int, why: str) -> Failure:
    """Return the failure of an event that was not tried. It is due at once, after those before it."""
    due = clock.now() + timedelta(microseconds=place)
    return _stored(message, group, state="pending", attempts=0, next_attempt_at=due, error=why)


def _stored(
    message: Message, group: Group, *, state: str, attempts: int, next_attempt_at: datetime | None, error: str
) -> Failure:
    return Failure(
        key=key_of(message, group),
        entity=message.envelope.subject,
        version=message.envelope.entityversion,
        type=message.envelope.type,
        body=message.body,
        state=state,
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        error=error,
        epoch=message.envelope.epoch,
    )


def noted(message: Message, group: Group, *, parked: bool) -> Failure:
    """Return the failure that is stored before an attempt. It has no due time, because the broker still holds the message."""
    envelope = message.envelope
    return Failure(
        key=key_of(message, group),
        entity=envelope.subject,
        version=envelope.entityversion,
        type=envelope.type,
        body=message.body,
        state="parked" if parked else "pending",
        attempts=message.attempts,
        next_attempt_at=None,
        error=f"the process ended {message.attempts - 1} times while this was handled",
        epoch=envelope.epoch,
    )


def refused(delivery: Delivery, queue: str, error: str) -> Failure:
    """Return a failure for a message that its sender may not send. It is kept for operators, without a group or a retry."""
    # Its id may be false, too. Skipping this message must not skip the real event with that id.
    event_id = uuid5(NAMESPACE_OID, delivery.body.hex())
    return Failure(
        key=EventKey(queue, "", event_id),
        entity=None,
        version=None,
        type=type_of(delivery)[:255],
        body=delivery.body,
        state="parked",
        attempts=0,
        next_attempt_at=None,
        error=f"refused: {error}",
    )


def undecoded(delivery: Delivery, error: str, groups: Sequence[str]) -> list[Failure]:
    """Return a failure for each of these names, made from the headers alone."""
    version, epoch = delivery.headers.get("crm-version"), delivery.headers.get("crm-epoch")
    return [
        Failure(
            key=EventKey(group, source_in(delivery), event_id_of(delivery)),
            entity=_uuid(delivery.headers.get("subject")),
            version=version if isinstance(version, int) else None,
            type=type_of(delivery),
            body=delivery.body,
            state="parked",
            attempts=0,
            next_attempt_at=None,
            error=error,
            epoch=epoch if isinstance(epoch, int) else 0,
        )
        for group in groups
    ]


def type_of(delivery: Delivery) -> str:
    """Return the type that the headers of a message name."""
    return str(delivery.headers.get("type") or delivery.type or delivery.routing_key)


def source_in(delivery: Delivery) -> str:
    """Return the source that the headers of a message name, or an empty text."""
    return str(delivery.headers.get("source", ""))


def event_id_of(delivery: Delivery) -> UUID:
    """Return the id that a message names, or one made from its body."""
    return _uuid(delivery.headers.get("id") or delivery.message_id) or uuid5(NAMESPACE_OID, delivery.body.hex())


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
