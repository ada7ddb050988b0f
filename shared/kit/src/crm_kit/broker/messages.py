"""Messages as they are sent and received, and what becomes of a sent one."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiormq import spec

CONTENT_TYPE = "application/cloudevents+json"


class Outcome(Enum):
    """The outcome of one published message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    """No queue is bound for the message; the broker returned it."""
    REFUSED = "refused"
    """A queue did not accept the message (it is full, or the broker failed), or the sender may not send it."""
    UNKNOWN = "unknown"
    """The connection was lost, or no answer came within 5 s: the message may or may not have arrived."""
    CLOSED = "closed"
    """The broker closed the channel because of one of several messages and does not say which: treat all as unknown."""


UNSURE = frozenset({Outcome.UNKNOWN, Outcome.CLOSED})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    body: bytes
    routing_key: str
    properties: spec.Basic.Properties


def outgoing(
    body: bytes, routing_key: str, *, message_id: str, headers: dict[str, Any], content_type: str = CONTENT_TYPE
) -> Outgoing:
    """Return a persistent message. Its AMQP type is the header ``type``, or else the routing key."""
    properties = spec.Basic.Properties(
        content_type=content_type,
        delivery_mode=2,
        message_id=message_id,
        message_type=headers.get("type", routing_key),
        headers=headers,
    )
    return Outgoing(body, routing_key, properties)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received message. ``tag`` acknowledges it in its session."""

    body: bytes
    exchange: str
    routing_key: str
    message_id: str
    type: str
    headers: dict[str, Any]
    redelivered: bool
    tag: int
    user: str = ""
    """The broker user who published it, if set. The broker refuses a false one, and dead letters keep it."""
