"""Who sent a message, by what the broker let its sender do: nothing that a message says of itself counts.

A service's broker user may publish to ``crm.events`` under its own routing keys alone, and to one replay exchange. So a
delivery's exchange and routing key name its sender; an envelope that names another is refused.

Of a dead letter the broker tells the way in ``x-death``. It keeps an entry that the sender wrote there and adds to it, so
the way alone proves nothing: the AMQP property ``user_id``, which the broker compares with the sender's user, must agree.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from crm_contracts.envelope import source_of
from crm_kit.broker.bus import (
    DEAD_LETTERS,
    EVENTS,
    REPLAY,
    Delivery,
    user_in,
)
from crm_kit.broker.management import user_of

_REPLAYS = f"{REPLAY}."
_DEATHS = "x-death"
_GIVEN_UP = frozenset({"rejected", "delivery_limit"})
"""Why an inbox gives a message up. Others, such as a lifetime that its sender chose, are none of ours."""

Users = Callable[[str], str]
"""The broker's user of a service."""


def users_of(amqp_url: str, service: str) -> Users:
    """Who publishes for each service, where ``service`` itself uses ``amqp_url``: without a user of its own, all share one."""
    own = user_in(amqp_url)
    return (lambda name: user_of(name, amqp_url)) if own == user_of(service, amqp_url) else (lambda _: own)


class Refused(Exception):
    """A message was not sent by whom it says, or its sender may not ask for this; the text quotes no value of it."""


def is_replay(delivery: Delivery) -> bool:
    """Whether it was sent to this queue alone, and not announced to everybody."""
    return delivery.exchange.startswith(_REPLAYS)


def check(delivery: Delivery, *, type_: str, source: str) -> None:
    """Raises Refused unless the service that sent the delivery is the one of ``type_`` and ``source``."""
    if _DEATHS in delivery.headers:
        raise Refused("it says that it was dead before it came here")
    _check(delivery.exchange, delivery.routing_key, type_, source)


def check_dead(delivery: Delivery, queues: Collection[str], users: Users, *, type_: str, source: str) -> str:
    """The same for what the broker moved from one of these queues to its dead letters: the way that led there counts, and
    the user who sent it.

    Returns the queue.
    """
    queue, exchange, routing_key = _way_to(queues, delivery)
    _check(exchange, routing_key, type_, source)
    if (sender := _sender(exchange, routing_key)) is None or delivery.user != users(sender):
        raise Refused("a dead letter whose sender the broker does not vouch for")
    return queue


def asker_of(delivery: Delivery) -> str:
    """The service that sent a control message. Raises Refused when no service can have sent it."""
    if not is_replay(delivery) or _DEATHS in delivery.headers:
        raise Refused("a control message that did not come by a service's replay exchange")
    return delivery.exchange.removeprefix(_REPLAYS)


def _check(exchange: str, routing_key: str, type_: str, source: str) -> None:
    sender = _sender(exchange, routing_key)
    if sender is None:
        raise Refused("it came by an exchange that no service sends its events by")
    if source != source_of(sender) or not type_.startswith(f"crm.{sender}."):
        raise Refused(f"{sender} sent it, but it says that it is another service's")
    if exchange == EVENTS and type_ != routing_key:
        raise Refused(f"{sender} sent it under another type than it says")


def _sender(exchange: str, routing_key: str) -> str | None:
    if exchange == EVENTS:
        words = routing_key.split(".", 2)
        return words[1] if len(words) == 3 and words[0] == "crm" else None
    return exchange.removeprefix(_REPLAYS) if exchange.startswith(_REPLAYS) else None


def _way_to(queues: Collection[str], delivery: Delivery) -> tuple[str, str, str]:
    """Queue of a dead letter, and exchange and routing key by which it had come there, as the broker noted at its death."""
    deaths = delivery.headers.get(_DEATHS)
    last = deaths[0] if isinstance(deaths, list) and deaths and delivery.exchange == DEAD_LETTERS else None
    if isinstance(last, Mapping) and last.get("queue") in queues and last.get("reason") in _GIVEN_UP:
        keys: Any = last.get("routing-keys")
        if isinstance(keys, list) and keys:
            return str(last.get("queue")), str(last.get("exchange")), str(keys[0])
    raise Refused("a dead letter of which the broker does not say that an inbox gave it up")
