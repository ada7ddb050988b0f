"""Other systems at the broker. Each may read the queues that an operator declared and bound for it, and do nothing else.

A subscriber cannot harm others. The operator chooses the number and the kind of its queues, an operator policy limits their size,
and its user has limited connections and channels. What it may read is bound twice: its user may neither declare nor bind, and its
topic permissions allow no pattern that is wider than those of its queues.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from crm_kit.broker import declaring
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.declaring import Queue
from crm_kit.broker.management import (
    Management,
    TopologyError,
    user_of,
    vhost_of,
)
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import DIRECT, DROPPED, EVENTS, SUBSCRIBER_QUEUE, direct_key
from crm_kit.broker.names import LOG as LOG_QUEUE
from crm_kit.broker.publishing import Publisher
from crm_kit.network.urls import as_user, in_vhost, without_parameters
from crm_kit.operating.patterns import covers, permitted
from crm_kit.store.record import new_id

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
class At:
    """Where an operator finds the broker, and where subscribers find it."""

    amqp_url: str
    management_url: str
    subscribers_url: str = ""
    """The URL of the broker for other machines, without user and virtual host. By default it is the operator's."""

    def url_for(self, user: str, password: str) -> str:
        """Return the URL that a subscriber gets."""
        base = self.subscribers_url and in_vhost(self.subscribers_url, vhost_of(self.amqp_url))
        return as_user(base or without_parameters(self.amqp_url), user, password)


@dataclass(frozen=True, slots=True)
class Subscription:
    """The queue of an external subscriber and the user that reads it."""

    queue: str
    user: str
    amqp_url: str
    """It has the password only if that is new, because the broker does not return an old one."""
    patterns: tuple[str, ...]
    is_password_new: bool
    reads_log: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A queue of a subscriber as it is now."""

    subscriber: str
    queue: str
    """Empty for a subscriber without a queue."""
    patterns: tuple[str, ...]
    waiting: int
    """Messages that are ready to be delivered."""
    unacknowledged: int
    size: int
    """Bytes of all of them."""
    consumers: int
    reads_log: bool


async def confine_all(management: Management, amqp_url: str, caps: Mapping[str, int] = CAPS) -> list[str]:
    """Limit the queues of all subscribers, and set the permissions of their users; returns what was declared."""
    vhost = quote(vhost_of(amqp_url), safe="")
    policy = {"pattern": r"^ext\.", "apply-to": "queues", "priority": 10}
    definition = {**caps, "overflow": "drop-head", "dead-letter-exchange": DROPPED}
    await management.put(f"policies/{vhost}/crm-external", {**policy, "definition": definition})
    # No other policy or queue argument can exceed an operator policy.
    await management.put(f"operator-policies/{vhost}/crm-external", {**policy, "definition": dict(caps)})
    declared = ["policy crm-external on ext.*", "operator policy crm-external on ext.*"]
    for name in await names(management, amqp_url):
        await confine(management, name, amqp_url, reads_log=await reads_log(management, name, amqp_url))
        declared.append(f"rights of subscriber {name}")
    return declared


async def bind_all(management: Management, amqp_url: str) -> None:
    """Bind each subscriber's queue to replays and snapshots of the event types to which it is bound, and to nothing else.

    Permissions follow the bindings, also of queues that were made since ``confine_all``. Raises TopologyError and BrokerDown.
    """
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
            await _announce(name, amqp_url)
    for name in await names(management, amqp_url):
        await confine(management, name, amqp_url, reads_log=await reads_log(management, name, amqp_url))


async def _announce(queue: str, amqp_url: str) -> None:
    """Tell the service that counts dropped messages that there is this queue. Raises BrokerDown."""
    publisher, message_id = Publisher(amqp_url, name="crm subscribers"), str(new_id())
    headers = {"type": SUBSCRIBER_QUEUE, "queue": queue}
    try:
        outcomes = await publisher.publish(DROPPED, [outgoing(b"", queue, message_id=message_id, headers=headers)])
    finally:
        await publisher.close()
    if outcomes != [Outcome.CONFIRMED]:
        raise BrokerDown(f"{queue} was not announced: run crm topology apply")


async def add(name: str, patterns: Sequence[str], at: At, *, queue: str = "events", log: bool = False) -> Subscription:
    """Give another system a user and a queue ``ext.<name>.<queue>`` that is bound by these patterns.

    It may be repeated: a queue that exists gets these patterns besides its own, and a user that exists keeps its password. With
    ``log`` the user may also read the stream of all events. Raises TopologyError and BrokerDown.
    """
    full, user = _full(name, queue), user_of(f"ext.{name}", at.amqp_url)
    async with Management(at.management_url) as management:
        queues = await _queues(management, name, at.amqp_url)
        before = await patterns_in(management, full, at.amqp_url) if full in queues else []
        if not (before or patterns):
            raise TopologyError(f"say with --bind what {full} is to hear")
        if full not in queues and len(queues) >= MOST_QUEUES:
            raise TopologyError(f"{name} has {len(queues)} queues, and may have {MOST_QUEUES}: add to one of them")
        is_new = await management.find(f"users/{quote(user, safe='')}") is None
        password = await _new_password(management, user) if is_new else ""
        granted = log or await reads_log(management, name, at.amqp_url)
        wanted = sorted({*before, *patterns})
        bound = Queue(full, {"x-queue-type": "quorum"}, tuple(bindings_of(full, wanted)))
        try:
            await declaring.declare(at.amqp_url, (), [bound])
            await confine(management, name, at.amqp_url, reads_log=granted)
            await _announce(full, at.amqp_url)
        except BaseException:
            if is_new:
                # Nobody has seen its password. The same command makes it again.
                with suppress(TopologyError):
                    await management.delete(f"users/{quote(user, safe='')}", missing_ok=True)
            raise
    return Subscription(full, user, at.url_for(user, password), tuple(wanted), bool(password), granted)


async def narrow(
    name: str, at: At, *, patterns: Sequence[str] = (), queue: str = "events", close_log: bool = False
) -> Subscription:
    """Leave a queue these patterns only, each of which its present ones cover. Without patterns it keeps its own.

    With ``close_log`` the user may no longer read the stream; its open connections end, because a consumer keeps what it has.
    What waits in the queue stays there. Raises TopologyError; then nothing was changed.
    """
    full, user = _full(name, queue), user_of(f"ext.{name}", at.amqp_url)
    async with Management(at.management_url) as management:
        await _require_subscriber(management, name, at.amqp_url)
        before = await _heard(management, name, full, at.amqp_url, required=bool(patterns))
        if wider := [one for one in patterns if not any(covers(wide, one) for wide in before)]:
            raise TopologyError(
                f"'{wider[0]}' is wider than what {full} hears ({' '.join(before)}): nothing was changed; "
                "crm subscribers add gives more"
            )
        had_log = await reads_log(management, name, at.amqp_url)
        if patterns:
            wanted = bindings_of(full, patterns)
            # Before the wider ones go, because an event that both match must not be missed.
            await declaring.declare(at.amqp_url, (), [Queue(full, {"x-queue-type": "quorum"}, tuple(wanted))])
            await _unbind_others(management, full, wanted, at.amqp_url)
        if had_log and close_log:
            await _disconnect(management, user)
        await confine(management, name, at.amqp_url, reads_log=had_log and not close_log)
        bound = await _heard(management, name, full, at.amqp_url, required=False)
    return Subscription(full, user, at.url_for(user, ""), tuple(bound), False, had_log and not close_log)


async def rotate(name: str, at: At) -> str:
    """Give a subscriber a new password and end the connections with the old one. Returns its URL. Raises TopologyError."""
    _require(name, "a subscriber's name")
    user = user_of(f"ext.{name}", at.amqp_url)
    async with Management(at.management_url) as management:
        await _require_subscriber(management, name, at.amqp_url)
        granted = await reads_log(management, name, at.amqp_url)
        # The broker ends a user's connections only if the user is deleted.
        await management.delete(f"users/{quote(user, safe='')}", missing_ok=True)
        password = await _new_password(management, user)
        await confine(management, name, at.amqp_url, reads_log=granted)
    return at.url_for(user, password)


async def remove(name: str, at: At, *, queue: str | None = None) -> list[str]:
    """Delete a subscriber's user, which ends its connections, and its queues, or only one ``queue``; returns what was deleted.

    Raises TopologyError.
    """
    _require(name, "a subscriber's name")
    vhost, user = quote(vhost_of(at.amqp_url), safe=""), user_of(f"ext.{name}", at.amqp_url)
    gone: list[str] = []
    async with Management(at.management_url) as management:
        if queue is not None:
            full, queues = _full(name, queue), await _queues(management, name, at.amqp_url)
            if full not in queues:
                raise TopologyError(f"there is no queue {full}; {name} has {', '.join(queues) or 'none'}")
            await management.delete(f"queues/{vhost}/{quote(full, safe='')}", missing_ok=True)
            await confine(management, name, at.amqp_url, reads_log=await reads_log(management, name, at.amqp_url))
            return [f"queue {full}"]
        if await management.find(f"users/{quote(user, safe='')}") is not None:
            await management.delete(f"users/{quote(user, safe='')}", missing_ok=True)
            gone.append(f"user {user}")
        for full in await _queues(management, name, at.amqp_url):
            await management.delete(f"queues/{vhost}/{quote(full, safe='')}", missing_ok=True)
            gone.append(f"queue {full}")
    return gone


async def _heard(management: Management, name: str, queue: str, amqp_url: str, *, required: bool) -> list[str]:
    """Return the patterns of a queue. A queue that does not exist has none; if it is ``required``, raises TopologyError."""
    if not required and queue not in await _queues(management, name, amqp_url):
        return []
    return await patterns_in(management, queue, amqp_url)


async def listed(at: At) -> list[Standing]:
    """Return the queues of all subscribers, by name, and a line without a queue for each user who has none.

    Raises TopologyError and BrokerDown.
    """
    vhost = quote(vhost_of(at.amqp_url), safe="")
    async with Management(at.management_url) as management:
        found = sorted(
            (one for one in await management.get(f"queues/{vhost}") if one["name"].startswith("ext.")),
            key=lambda one: str(one["name"]),
        )
        waiting = await declaring.depths(at.amqp_url, [one["name"] for one in found])
        known = await names(management, at.amqp_url)
        logs = {name for name in known if await reads_log(management, name, at.amqp_url)}
        bare = sorted(set(known) - {one["name"].split(".")[1] for one in found})
        without = [Standing(name, "", (), 0, 0, 0, 0, reads_log=name in logs) for name in bare]
        return without + [
            Standing(
                subscriber=(name := one["name"].split(".")[1]),
                queue=one["name"],
                patterns=tuple(await patterns_in(management, one["name"], at.amqp_url)),
                waiting=waiting[one["name"]],
                unacknowledged=int(one.get("messages_unacknowledged", 0)),
                size=int(one.get("message_bytes", 0)),
                consumers=int(one.get("consumers", 0)),
                reads_log=name in logs,
            )
            for one in found
        ]


async def names(management: Management, amqp_url: str) -> list[str]:
    """Return the names of all subscribers. Raises TopologyError."""
    prefix = user_of("ext.", amqp_url)
    found = sorted(user["name"] for user in await management.get("users"))
    return [
        name.removeprefix(prefix)
        for name in found
        if name.startswith(prefix) and NAME.fullmatch(name.removeprefix(prefix))
    ]


async def reads_log(management: Management, name: str, amqp_url: str) -> bool:
    """Whether a subscriber was given the stream of all events. Rights that an earlier release gave do not count."""
    found = await management.find(_rights_at(name, amqp_url))
    return found is not None and found["read"] == _readable(name, reads_log=True)


async def confine(management: Management, name: str, amqp_url: str, *, reads_log: bool) -> None:
    """Set what a subscriber's user may do: read its own queues, and the stream if it was given that.

    Topic permissions hold even where somebody gives the user wider rights to bind by mistake.
    """
    user, vhost = user_of(f"ext.{name}", amqp_url), quote(vhost_of(amqp_url), safe="")
    rights = {"configure": "^$", "write": "^$", "read": _readable(name, reads_log=reads_log)}
    await management.put(_rights_at(name, amqp_url), rights)
    heard = {
        queue: await patterns_in(management, queue, amqp_url) for queue in await _queues(management, name, amqp_url)
    }
    everywhere = sorted({pattern for patterns in heard.values() for pattern in patterns})
    direct = [direct_key(queue, pattern) for queue, patterns in heard.items() for pattern in patterns]
    for exchange, patterns in ((EVENTS, everywhere), (DIRECT, direct)):
        topics = {"exchange": exchange, "write": "^$", "read": permitted(patterns)}
        await management.put(f"topic-permissions/{vhost}/{quote(user, safe='')}", topics)
    await management.limit(user, LIMITS)


async def patterns_of(queue: str, amqp_url: str, management_url: str) -> list[str]:
    """Return the patterns by which a queue is bound to events. Raises TopologyError."""
    async with Management(management_url) as management:
        return await patterns_in(management, queue, amqp_url)


def _full(name: str, queue: str) -> str:
    _require(name, "a subscriber's name")
    _require(queue, "a queue's name")
    return f"{_prefix(name)}{queue}"


def _require(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise TopologyError(f"{what} has 1 to 40 lower-case letters, digits and hyphens")


async def _require_subscriber(management: Management, name: str, amqp_url: str) -> None:
    known = await names(management, amqp_url)
    # A command that was stopped halfway may have left queues without their user.
    if name not in known and not await _queues(management, name, amqp_url):
        raise TopologyError(f"there is no subscriber {name}; there are {', '.join(known) or 'none'}")


async def _new_password(management: Management, user: str) -> str:
    password = secrets.token_urlsafe(32)
    await management.put(f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
    return password


async def _disconnect(management: Management, user: str) -> None:
    """End a user's connections. The user is made anew with its password, because the broker ends them only with the user.

    The API's list of connections lacks those of the last seconds.
    """
    place = f"users/{quote(user, safe='')}"
    found = await management.get(place)
    await management.delete(place)
    kept = {key: found[key] for key in ("password_hash", "hashing_algorithm")}
    await management.put(place, {**kept, "tags": ""})


def _prefix(name: str) -> str:
    return f"ext.{name}."


def _readable(name: str, *, reads_log: bool) -> str:
    return rf"^(ext\.{name}\.|{re.escape(LOG_QUEUE)}$)" if reads_log else rf"^ext\.{name}\."


def _rights_at(name: str, amqp_url: str) -> str:
    user = user_of(f"ext.{name}", amqp_url)
    return f"permissions/{quote(vhost_of(amqp_url), safe='')}/{quote(user, safe='')}"


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
