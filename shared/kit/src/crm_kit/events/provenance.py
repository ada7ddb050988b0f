"""Finds out who sent a message. It trusts the broker's permissions, and not what the message says.

The broker allows a service's user to publish to ``crm.events`` only under the service's own routing keys, and to one replay
exchange. The exchange and the routing key of a delivery therefore identify its sender. Envelopes with another sender are refused.

For a dead letter, the broker stores the original exchange and routing key in ``x-death``. It keeps entries that the sender wrote
there, so they prove nothing alone. The AMQP property ``user_id``, which the broker checks, must name the same sender.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from crm_contracts.envelope import source_of
from crm_kit.broker.connecting import user_in
from crm_kit.broker.management import user_of
from crm_kit.broker.messages import Delivery
from crm_kit.broker.names import DEAD_LETTERS, EVENTS, REPLAY

_REPLAYS = f"{REPLAY}."
_DEATHS = "x-death"
_GIVEN_UP = frozenset({"rejected", "delivery_limit"})
"""The reasons for which an inbox queue dead-letters a message. Others, such as an expiry set by the sender, do not count."""

Users = Callable[[str], str]
"""Returns the broker's user of a service."""


def users_of(amqp_url: str, service: str) -> Users:
    """Return the function that names the broker's user of each service.

    ``service`` connects with ``amqp_url``. If it does not have a user of its own, all services share the one of the URL.
    """
    own = user_in(amqp_url)
    return (lambda name: user_of(name, amqp_url)) if own == user_of(service, amqp_url) else (lambda _: own)


class Refused(Exception):
    """A message names a false sender, or its sender may not request this. The text contains no value of the message."""


def is_replay(delivery: Delivery) -> bool:
    """Whether the delivery was sent to this queue alone, as part of a replay or a snapshot."""
    return delivery.exchange.startswith(_REPLAYS)


def check(delivery: Delivery, *, type_: str, source: str) -> None:
    """Raise Refused unless the service that sent the delivery is the one of ``type_`` and ``source``."""
    if _DEATHS in delivery.headers:
        raise Refused("it says that it was dead before it came here")
    _check(delivery.exchange, delivery.routing_key, type_, source)


def check_dead(delivery: Delivery, queues: Collection[str], users: Users, *, type_: str, source: str) -> str:
    """Check a message that the broker moved from one of ``queues`` to its dead letters. Returns the queue.

    Raises Refused unless its original exchange and routing key and its user belong to the service of ``type_`` and ``source``.
    """
    queue, exchange, routing_key = _way_to(queues, delivery)
    _check(exchange, routing_key, type_, source)
    if (sender := _sender(exchange, routing_key)) is None or delivery.user != users(sender):
        raise Refused("a dead letter whose sender the broker does not vouch for")
    return queue


def asker_of(delivery: Delivery) -> str:
    """Return the service that sent a control message. Raises Refused if no service can have sent it."""
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
    """Return the queue of a dead letter, and the exchange and routing key by which it came there, from ``x-death``."""
    deaths = delivery.headers.get(_DEATHS)
    last = deaths[0] if isinstance(deaths, list) and deaths and delivery.exchange == DEAD_LETTERS else None
    if isinstance(last, Mapping) and last.get("queue") in queues and last.get("reason") in _GIVEN_UP:
        keys: Any = last.get("routing-keys")
        if isinstance(keys, list) and keys:
            return str(last.get("queue")), str(last.get("exchange")), str(keys[0])
    raise Refused("a dead letter of which the broker does not say that an inbox gave it up")
