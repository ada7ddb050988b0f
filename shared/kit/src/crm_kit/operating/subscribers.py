"""Other systems at the broker. Each may read the queues that an operator declared and bound for it, and do nothing else.

A subscriber cannot harm others. The operator chooses the number and the kind of its queues, an operator policy limits their size,
and its user has limited connections and channels.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from crm_kit.broker import declaring
from crm_kit.broker.declaring import Queue
from crm_kit.broker.management import (
    Management,
    TopologyError,
    user_of,
    vhost_of,
)
from crm_kit.broker.names import DIRECT, EVENTS, direct_key
from crm_kit.network.urls import as_user, without_parameters

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
MOST_QUEUES = 5
"""The most queues of a subscriber. Each queue delays the confirms of all events to which it is bound."""
LIMITS = {"max-connections": 10, "max-channels": 50}
CAPS = {
    "max-length-bytes": 256 * 1024 * 1024,
    "max-length": 1_000_000,
    "message-ttl": 14 * 86_400_000,
    "delivery-limit": 100,
}
"""The limits of a queue in bytes, messages and milliseconds, and of redeliveries. A dead subscriber loses its oldest events and
harms nobody."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The queue of an external subscriber and the user that reads it."""

    queue: str
    user: str
    amqp_url: str
    """It has the password only if that is new, because the broker does not return an old one."""
    patterns: tuple[str, ...]
    is_password_new: bool


async def confine_all(management: Management, amqp_url: str, caps: Mapping[str, int] = CAPS) -> list[str]:
    """Limit the queues of all subscribers, and set the permissions of their users; returns what was declared."""
    vhost = quote(vhost_of(amqp_url), safe="")
    policy = {"pattern": r"^ext\.", "apply-to": "queues", "priority": 10}
    definition = {**caps, "overflow": "drop-head"}
    await management.put(f"policies/{vhost}/crm-external", {**policy, "definition": definition})
    # No other policy or queue argument can exceed an operator policy.
    await management.put(f"operator-policies/{vhost}/crm-external", {**policy, "definition": dict(caps)})
    declared = ["policy crm-external on ext.*", "operator policy crm-external on ext.*"]
    prefix = user_of("ext.", amqp_url)
    for name in sorted(user["name"] for user in await management.get("users")):
        if name.startswith(prefix) and NAME.fullmatch(name.removeprefix(prefix)):
            await _confine(management, name.removeprefix(prefix), amqp_url)
            declared.append(f"rights of subscriber {name.removeprefix(prefix)}")
    return declared


async def bind_all(management: Management, amqp_url: str) -> None:
    """Bind each subscriber's queue to replays and snapshots of the event types to which it is bound, and to nothing else."""
    vhost = quote(vhost_of(amqp_url), safe="")
    for queue in await management.get(f"queues/{vhost}?columns=name"):
        name = queue["name"]
        if name.startswith("ext."):
            wanted = bindings_of(name, await patterns_in(management, name, amqp_url))
            for exchange, key in wanted:
                if exchange == DIRECT:
                    place = f"bindings/{vhost}/e/{DIRECT}/q/{quote(name, safe='')}"
                    await management.post(place, {"routing_key": key})
            await _unbind_others(management, name, wanted, amqp_url)


async def subscribe(
    name: str,
    patterns: Sequence[str],
    amqp_url: str,
    management_url: str,
    *,
    queue: str = "events",
    rotate: bool = False,
) -> Subscription:
    """Give another system a user and a queue ``ext.<name>.<queue>``, bound by exactly these patterns.

    It may be repeated. Without patterns, a queue keeps its patterns. Without ``rotate``, a user keeps its password. With
    ``rotate``, connections with the old password end. The user may read the queues whose names begin with ``ext.<name>.`` and do
    nothing else. Raises TopologyError and BrokerDown.
    """
    _require(name, "a subscriber's name")
    _require(queue, "a queue's name")
    full = f"{_prefix(name)}{queue}"
    user = user_of(f"ext.{name}", amqp_url)
    async with Management(management_url) as management:
        queues = await _queues(management, name, amqp_url)
        if full not in queues and not patterns:
            raise TopologyError(f"say with --bind what {full} is to hear")
        if full not in queues and len(queues) >= MOST_QUEUES:
            raise TopologyError(f"{name} has {len(queues)} queues, and may have {MOST_QUEUES}: bind one of them")
        is_new = await management.find(f"users/{quote(user, safe='')}") is None
        password = secrets.token_urlsafe(32) if is_new or rotate else ""
        if rotate:
            # The broker ends a user's connections only if the user is deleted.
            await management.delete(f"users/{quote(user, safe='')}", missing_ok=True)
        if password:
            await management.put(f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
        await _confine(management, name, amqp_url)
        if patterns:
            wanted = bindings_of(full, patterns)
            await declaring.declare(amqp_url, (), [Queue(full, {"x-queue-type": "quorum"}, tuple(wanted))])
            await _unbind_others(management, full, wanted, amqp_url)
        bound = await patterns_in(management, full, amqp_url)
    url = as_user(without_parameters(amqp_url), user, password)
    return Subscription(full, user, url, tuple(bound), bool(password))


async def unsubscribe(name: str, amqp_url: str, management_url: str, *, queue: str | None = None) -> list[str]:
    """Delete a subscriber's user, which ends its connections, and its queues, or only one ``queue``; returns what was deleted.

    Raises TopologyError.
    """
    _require(name, "a subscriber's name")
    vhost, user = quote(vhost_of(amqp_url), safe=""), user_of(f"ext.{name}", amqp_url)
    gone: list[str] = []
    async with Management(management_url) as management:
        if queue is not None:
            _require(queue, "a queue's name")
            full, queues = f"{_prefix(name)}{queue}", await _queues(management, name, amqp_url)
            if full not in queues:
                raise TopologyError(f"there is no queue {full}; {name} has {', '.join(queues) or 'none'}")
            await management.delete(f"queues/{vhost}/{quote(full, safe='')}", missing_ok=True)
            return [f"queue {full}"]
        if await management.find(f"users/{quote(user, safe='')}") is not None:
            await management.delete(f"users/{quote(user, safe='')}", missing_ok=True)
            gone.append(f"user {user}")
        for queue in await _queues(management, name, amqp_url):
            await management.delete(f"queues/{vhost}/{quote(queue, safe='')}", missing_ok=True)
            gone.append(f"queue {queue}")
    return gone


async def patterns_of(queue: str, amqp_url: str, management_url: str) -> list[str]:
    """Return the patterns by which a queue is bound to events. Raises TopologyError."""
    async with Management(management_url) as management:
        return await patterns_in(management, queue, amqp_url)


def matches(pattern: str, routing_key: str) -> bool:
    """Whether a pattern of a topic exchange matches a routing key: ``*`` is one word, ``#`` is any number of words."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])


def _require(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise TopologyError(f"{what} has 1 to 40 lower-case letters, digits and hyphens")


def _prefix(name: str) -> str:
    return f"ext.{name}."


async def _confine(management: Management, name: str, amqp_url: str) -> None:
    user = user_of(f"ext.{name}", amqp_url)
    rights = {"configure": "^$", "write": "^$", "read": rf"^ext\.{name}\."}
    place = f"permissions/{quote(vhost_of(amqp_url), safe='')}/{quote(user, safe='')}"
    await management.put(place, rights)
    await management.limit(user, LIMITS)


async def _queues(management: Management, name: str, amqp_url: str) -> list[str]:
    found = await management.get(f"queues/{quote(vhost_of(amqp_url), safe='')}?columns=name")
    return [queue["name"] for queue in found if queue["name"].startswith(_prefix(name))]


async def _bindings(management: Management, queue: str, amqp_url: str) -> list[dict[str, Any]]:
    place = f"queues/{quote(vhost_of(amqp_url), safe='')}/{quote(queue, safe='')}/bindings"
    found = await management.find(place)
    if found is None:
        raise TopologyError(f"there is no queue {queue}")
    return [binding for binding in found if binding["source"] in (EVENTS, DIRECT)]


def bindings_of(queue: str, patterns: Sequence[str]) -> list[tuple[str, str]]:
    """Return the bindings (exchange, key) of a queue with these patterns."""
    return [
        *((EVENTS, pattern) for pattern in patterns),
        *((DIRECT, direct_key(queue, pattern)) for pattern in patterns),
    ]


async def patterns_in(management: Management, queue: str, amqp_url: str) -> list[str]:
    """Return the patterns by which a queue is bound to events. Raises TopologyError, also if there is no such queue."""
    vhost = vhost_of(amqp_url)
    if await management.find(f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}") is None:
        raise TopologyError(f"there is no queue {queue} in the vhost {vhost}: crm topology queues lists them")
    found = await _bindings(management, queue, amqp_url)
    return sorted(binding["routing_key"] for binding in found if binding["source"] == EVENTS)


async def _unbind_others(management: Management, queue: str, wanted: Sequence[tuple[str, str]], amqp_url: str) -> None:
    vhost = quote(vhost_of(amqp_url), safe="")
    for binding in await _bindings(management, queue, amqp_url):
        if (binding["source"], binding["routing_key"]) not in wanted:
            key = quote(binding["properties_key"], safe="")
            place = f"bindings/{vhost}/e/{binding['source']}/q/{quote(queue, safe='')}/{key}"
            await management.delete(place, missing_ok=True)
