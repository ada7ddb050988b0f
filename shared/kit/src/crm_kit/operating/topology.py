"""Declares everything that the suite needs at the broker, with one idempotent call.

Exchanges, queues and bindings are declared over AMQP with the given URL. The virtual host, users, permissions and policies need
the management HTTP API. Without it they are skipped, and the report says so. It works with RabbitMQ 3.10 and 4.x.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from crm_kit.broker import connecting, declaring
from crm_kit.broker.declaring import Exchange, Passage, Queue
from crm_kit.broker.management import Management as Management
from crm_kit.broker.management import TopologyError as TopologyError
from crm_kit.broker.management import user_of as user_of
from crm_kit.broker.management import vhost_of as vhost_of
from crm_kit.broker.names import (
    COUNTER,
    DEAD_LETTERS,
    DIRECT,
    DROPPED,
    EVENTS,
    LOG,
    REPLAY,
    SNAPSHOT_REQUEST,
    access_of,
    direct_key,
    inbox_of,
    replay_of,
)
from crm_kit.copies.directory_feed import ACCESS_KEYS
from crm_kit.operating import subscribers

DELIVERY_LIMIT = 20
LOG_DAYS = 30
LOG_BYTES = 20_000_000_000
LOG_ARGUMENTS = {"x-max-age": f"{LOG_DAYS}D", "x-max-length-bytes": LOG_BYTES}
"""The arguments with which every release has declared the log. Arguments cannot change, and a policy can only lower limits."""

SERVICE_LIMITS = {"max-connections": 200, "max-channels": 400}
"""The limits of a service's user over all its processes. A worker has about five connections with one channel each."""

EXCHANGES = (
    Exchange(EVENTS, "topic"),
    Exchange(DEAD_LETTERS, "direct"),
    Exchange(DIRECT, "topic"),
    Exchange(DROPPED, "fanout"),
)
DROPPED_BYTES = 64 * 2**20
"""The limit of the queue of dropped messages. While nobody counts them, more are not counted."""
RETIRED = (REPLAY,)
"""An exchange of earlier releases, by which every service could send to every queue."""


def dropped_queue() -> Queue:
    """Return the queue of messages that the broker dropped from queues of other systems."""
    arguments = {"x-queue-type": "quorum", "x-max-length-bytes": DROPPED_BYTES, "x-overflow": "drop-head"}
    return Queue(DROPPED, arguments, ((DROPPED, ""),))


@dataclass
class Report:
    """What was declared and what was skipped, for people."""

    declared: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"declared  {name}" for name in self.declared] + [f"skipped   {name}" for name in self.skipped]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits that an operator may choose."""

    delivery_limit: int = DELIVERY_LIMIT
    log_days: int = LOG_DAYS
    log_bytes: int = LOG_BYTES
    subscribers: Mapping[str, int] = field(default_factory=lambda: subscribers.CAPS)

    @property
    def log_fits(self) -> bool:
        """Whether the limits of the log do not exceed those of ``LOG_ARGUMENTS``."""
        return self.log_days <= LOG_DAYS and self.log_bytes <= LOG_BYTES


def queues_of(service: str, routing_keys: Sequence[str], caps: Caps = Caps()) -> tuple[Queue, Queue, Queue]:
    """Return a service's inbox, access and parking queues. ``routing_keys`` are those of ``Consumers.routing_keys()``.

    The inbox gets all events, also those of the access queue, so that every release finds all of its events there.
    """
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": caps.delivery_limit,
        "x-dead-letter-exchange": DEAD_LETTERS,
        "x-dead-letter-routing-key": service,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    name = inbox_of(service)
    direct = ((DIRECT, direct_key(name, key)) for key in (*routing_keys, SNAPSHOT_REQUEST))
    inbox = Queue(name, arguments, (*((EVENTS, key) for key in routing_keys), *direct))
    access = Queue(access_of(service), arguments, tuple((EVENTS, key) for key in routing_keys if key in ACCESS_KEYS))
    parking = Queue(f"crm.{service}.parking", {"x-queue-type": "quorum"}, ((DEAD_LETTERS, service),))
    return inbox, access, parking


def log_queue(arguments: Mapping[str, Any]) -> Queue:
    """Return the stream of all events. It makes every event routable, and can be read from any offset."""
    return Queue(LOG, {"x-queue-type": "stream", **arguments}, ((EVENTS, "crm.#"),))


async def _limit_log(management: Management, amqp_url: str, caps: Caps, report: Report) -> Mapping[str, Any]:
    """Limit the log by a policy. Returns the arguments with which to declare it: its present ones if it exists."""
    vhost = quote(vhost_of(amqp_url), safe="")
    limits = {"max-age": f"{caps.log_days}D", "max-length-bytes": caps.log_bytes}
    policy = {"pattern": rf"^{re.escape(LOG)}$", "apply-to": "queues", "priority": 10, "definition": limits}
    await management.put(f"policies/{vhost}/crm-log", policy)
    report.declared.append(f"policy crm-log: {caps.log_days} days, {caps.log_bytes} bytes")
    there = await management.find(f"queues/{vhost}/{quote(LOG, safe='')}")
    if there is None:
        return LOG_ARGUMENTS if caps.log_fits else {}
    arguments = {name: value for name, value in there["arguments"].items() if name in LOG_ARGUMENTS}
    if arguments and not caps.log_fits:
        report.skipped.append(
            f"{LOG} beyond what it was declared with ({arguments}): delete this queue, which forgets what it holds,"
            " and apply again"
        )
    return arguments


async def apply(
    services: Mapping[str, Sequence[str]],
    amqp_url: str,
    management_url: str | None = None,
    *,
    password_of: Callable[[str], str] | None = None,
    caps: Caps = Caps(),
) -> Report:
    """Declare everything for these services (name to routing keys). It may be repeated.

    With ``management_url`` (``http://user:password@host:port``) it also declares the virtual host of ``amqp_url`` and the
    policies. With ``password_of`` it also declares a user per service (``user_of``), who may publish only the service's own keys.
    Raises BrokerDown, TopologyError, or AMQPError if a queue exists with other arguments.
    """
    report = Report()
    if management_url:
        async with Management(management_url) as management:
            await _administer(management, services, amqp_url, password_of, caps, report)
            log_arguments = await _limit_log(management, amqp_url, caps, report)
    else:
        log_arguments = {"x-max-age": f"{caps.log_days}D", "x-max-length-bytes": caps.log_bytes}
        report.skipped += ["virtual host", "policies", "users and permissions"]
        report.skipped = [f"{name} (no AMQP_MANAGEMENT_URL)" for name in report.skipped]
    queues = [log_queue(log_arguments), dropped_queue()]
    for service, keys in services.items():
        queues += queues_of(service, keys, caps)
    exchanges = [*EXCHANGES, *(Exchange(replay_of(service), "fanout") for service in services)]
    passages = [Passage(replay_of(service), DIRECT) for service in services]
    await declaring.declare(amqp_url, exchanges, queues, passages, RETIRED)
    if management_url:
        async with Management(management_url) as management:
            await subscribers.bind_all(management, amqp_url)
    report.declared += [f"exchange {exchange.name}" for exchange in exchanges]
    report.declared += [f"queue {queue.name} ({len(queue.bindings)} bindings)" for queue in queues]
    return report


def names_of(service: str) -> tuple[str, str, str]:
    """Return the names of the queues that a service reads."""
    return inbox_of(service), access_of(service), f"crm.{service}.parking"


async def check(services: Sequence[str], amqp_url: str) -> list[str]:
    """Return a line for each missing queue or exchange of these services. Raises BrokerDown."""
    queues = [LOG, DROPPED, *(name for service in services for name in names_of(service))]
    exchanges = [*(exchange.name for exchange in EXCHANGES), *map(replay_of, services)]
    absent = await declaring.missing(amqp_url, exchanges, queues)
    return [f"{name} is not declared; run: crm topology apply" for name in absent]


async def _administer(
    management: Management,
    services: Mapping[str, Sequence[str]],
    amqp_url: str,
    password_of: Callable[[str], str] | None,
    caps: Caps,
    report: Report,
) -> None:
    vhost = quote(vhost_of(amqp_url), safe="")
    flags = {flag["name"]: flag["state"] for flag in await management.get("feature-flags")}
    off = [name for name in ("quorum_queue", "stream_queue", "user_limits") if flags.get(name, "enabled") != "enabled"]
    if off:
        raise TopologyError(f"feature flags not enabled: {', '.join(off)}; run: rabbitmqctl enable_feature_flag all")
    await management.put(f"vhosts/{vhost}", {})
    report.declared.append(f"virtual host {vhost_of(amqp_url)}")
    operator = quote(connecting.user_in(amqp_url), safe="")
    await management.put(f"permissions/{vhost}/{operator}", {"configure": ".*", "write": ".*", "read": ".*"})
    report.declared += await subscribers.confine_all(management, amqp_url, caps.subscribers)
    if password_of is None:
        report.skipped.append("users and permissions (no passwords given)")
        return
    for service in services:
        name = user_of(service, amqp_url)
        user = quote(name, safe="")
        await management.put(f"users/{user}", {"password": password_of(service), "tags": ""})
        own = rf"^crm\.{service}\.(inbox|access|parking)$"
        if service == COUNTER:
            own = rf"^crm\.({service}\.(inbox|access|parking)|dropped)$"
        rights = {"configure": "^$", "write": rf"^crm\.(events|replay\.{service})$", "read": own}
        await management.put(f"permissions/{vhost}/{user}", rights)
        topics = {"exchange": EVENTS, "write": rf"^crm\.{service}\.", "read": ".*"}
        await management.put(f"topic-permissions/{vhost}/{user}", topics)
        await management.limit(name, SERVICE_LIMITS)
        report.declared.append(f"user {name}")
