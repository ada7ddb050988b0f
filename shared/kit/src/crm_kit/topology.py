"""Everything the suite needs at the broker, declared by one idempotent call.

Exchanges, queues and bindings go over AMQP with the URL given. The virtual host, users, permissions and policies need
the management HTTP API; without it they are skipped, and the report says so. Works alike on RabbitMQ 3.10 and 4.x.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from crm_kit import bus
from crm_kit.bus import DEAD_LETTERS, EVENTS, LOG, REPLAY, Exchange, Passage, Queue, inbox_of, replay_of

DELIVERY_LIMIT = 20
LOG_DAYS = 30
LOG_BYTES = 20_000_000_000
EXTERNAL_CAPS = {"max-length-bytes": 256 * 1024 * 1024, "overflow": "drop-head", "message-ttl": 14 * 86_400_000}
"""What an external subscriber's queue may hold: a dead subscriber loses its oldest events and harms nobody."""

EXCHANGES = (Exchange(EVENTS, "topic"), Exchange(DEAD_LETTERS, "direct"), Exchange(REPLAY, "direct"))


class TopologyError(Exception):
    """The management API refused, or the broker lacks something the suite depends on."""


@dataclass
class Report:
    """What was declared and what was left out, for people to read."""

    declared: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"declared  {name}" for name in self.declared] + [f"skipped   {name}" for name in self.skipped]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Caps:
    """Sizes an operator may choose."""

    delivery_limit: int = DELIVERY_LIMIT
    log_days: int = LOG_DAYS
    log_bytes: int = LOG_BYTES


def queues_of(service: str, routing_keys: Sequence[str], caps: Caps = Caps()) -> tuple[Queue, Queue]:
    """A service's inbox and parking queue. ``routing_keys`` as ``Consumers.routing_keys()`` gives them."""
    inbox = Queue(
        inbox_of(service),
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": caps.delivery_limit,
            "x-dead-letter-exchange": DEAD_LETTERS,
            "x-dead-letter-routing-key": service,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
        (*((EVENTS, key) for key in routing_keys), (REPLAY, inbox_of(service))),
    )
    parking = Queue(f"crm.{service}.parking", {"x-queue-type": "quorum"}, ((DEAD_LETTERS, service),))
    return inbox, parking


def log_queue(caps: Caps = Caps()) -> Queue:
    """The stream of every event: makes each one routable, and replayable from any offset."""
    arguments = {
        "x-queue-type": "stream",
        "x-max-age": f"{caps.log_days}D",
        "x-max-length-bytes": caps.log_bytes,
    }
    return Queue(LOG, arguments, ((EVENTS, "crm.#"),))


async def apply(
    services: Mapping[str, Sequence[str]],
    amqp_url: str,
    management_url: str | None = None,
    *,
    password_of: Callable[[str], str] | None = None,
    caps: Caps = Caps(),
) -> Report:
    """Declare everything for these services (name to routing keys); safe to repeat.

    With ``management_url`` (``http://user:password@host:port``) also the virtual host of ``amqp_url`` and the policies;
    with ``password_of`` as well one user per service (``user_of``), allowed to publish its own keys only.
    Raises BrokerDown, TopologyError, or AMQPError when a queue exists with other arguments.
    """
    report = Report()
    if management_url:
        async with Management(management_url) as management:
            await _administer(management, services, amqp_url, password_of, report)
    else:
        report.skipped += ["virtual host", "policies", "users and permissions"]
        report.skipped = [f"{name} (no AMQP_MANAGEMENT_URL)" for name in report.skipped]
    queues = [log_queue(caps)]
    for service, keys in services.items():
        queues += queues_of(service, keys, caps)
    exchanges = [*EXCHANGES, *(Exchange(replay_of(service), "fanout") for service in services)]
    await bus.declare(amqp_url, exchanges, queues, [Passage(replay_of(service), REPLAY) for service in services])
    report.declared += [f"exchange {exchange.name}" for exchange in exchanges]
    report.declared += [f"queue {queue.name} ({len(queue.bindings)} bindings)" for queue in queues]
    return report


async def check(services: Sequence[str], amqp_url: str) -> list[str]:
    """What is missing for these services, each as a clear line; empty when nothing is. Raises BrokerDown."""
    queues = [LOG, *(name for service in services for name in (inbox_of(service), f"crm.{service}.parking"))]
    exchanges = [*(exchange.name for exchange in EXCHANGES), *map(replay_of, services)]
    absent = await bus.missing(amqp_url, exchanges, queues)
    return [f"{name} is not declared; run: crm topology apply" for name in absent]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where an external subscriber finds its events, and as whom."""

    queue: str
    user: str
    amqp_url: str


async def subscribe(
    name: str, patterns: Sequence[str], amqp_url: str, management_url: str, *, password: str
) -> Subscription:
    """Give another system a user and a queue ``ext.<name>.events`` of its own, bound by patterns; safe to repeat.

    The user may do as it likes with queues that begin with ``ext.<name>.``, bind them to ``crm.events`` and
    ``crm.replay``, and read ``crm.log``; it may publish nothing. Raises TopologyError and BrokerDown.
    """
    if not SUBSCRIBER.fullmatch(name):
        raise TopologyError("a subscriber's name has 1 to 40 lower-case letters, digits and hyphens")
    vhost, user = vhost_of(amqp_url), user_of(f"ext.{name}", amqp_url)
    own = rf"^ext\.{name}\."
    async with Management(management_url) as management:
        await management.put(f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
        rights = {"configure": own, "write": own, "read": rf"{own}|^crm\.(events|replay|log)$"}
        await management.put(f"permissions/{quote(vhost, safe='')}/{quote(user, safe='')}", rights)
    queue = f"ext.{name}.events"
    bindings = [(EVENTS, pattern) for pattern in patterns]
    await bus.declare(amqp_url, EXCHANGES, [Queue(queue, {"x-queue-type": "quorum"}, (*bindings, (REPLAY, queue)))])
    parts = urlsplit(amqp_url)
    place = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return Subscription(queue, user, urlunsplit(parts._replace(netloc=place)))


SUBSCRIBER = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def vhost_of(amqp_url: str) -> str:
    """The virtual host an AMQP URL names; ``/`` when it names none."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


def user_of(service: str, amqp_url: str) -> str:
    """The broker's user for a service. Users are shared by all virtual hosts, so the name carries this one's."""
    vhost = vhost_of(amqp_url)
    return f"crm.{service}" if vhost == "/" else f"{vhost}.{service}"


async def _administer(
    management: "Management",
    services: Mapping[str, Sequence[str]],
    amqp_url: str,
    password_of: Callable[[str], str] | None,
    report: Report,
) -> None:
    vhost = quote(vhost_of(amqp_url), safe="")
    flags = {flag["name"]: flag["state"] for flag in await management.get("feature-flags")}
    off = [name for name in ("quorum_queue", "stream_queue") if flags.get(name, "enabled") != "enabled"]
    if off:
        raise TopologyError(f"feature flags not enabled: {', '.join(off)}; run: rabbitmqctl enable_feature_flag all")
    await management.put(f"vhosts/{vhost}", {})
    report.declared.append(f"virtual host {vhost_of(amqp_url)}")
    operator = quote(unquote(urlsplit(amqp_url).username or "guest"), safe="")
    await management.put(f"permissions/{vhost}/{operator}", {"configure": ".*", "write": ".*", "read": ".*"})
    policy = {"pattern": r"^ext\.", "definition": EXTERNAL_CAPS, "apply-to": "queues", "priority": 10}
    await management.put(f"policies/{vhost}/crm-external", policy)
    report.declared.append("policy crm-external on ext.*")
    if password_of is None:
        report.skipped.append("users and permissions (no passwords given)")
        return
    for service in services:
        name = user_of(service, amqp_url)
        user = quote(name, safe="")
        await management.put(f"users/{user}", {"password": password_of(service), "tags": ""})
        own = rf"^crm\.{service}\.(inbox|parking)$"
        rights = {"configure": "^$", "write": rf"^crm\.(events|replay\.{service})$", "read": own}
        await management.put(f"permissions/{vhost}/{user}", rights)
        topics = {"exchange": EVENTS, "write": rf"^crm\.{service}\.", "read": ".*"}
        await management.put(f"topic-permissions/{vhost}/{user}", topics)
        report.declared.append(f"user {name}")


class Management:
    """The management HTTP API of a broker."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}{parts.path.rstrip('/')}/api"
        login, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        headers = {"Authorization": aiohttp.encode_basic_auth(login, password)}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10))

    async def __aenter__(self) -> "Management":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """Raises TopologyError."""
        return await self._call("GET", path, None)

    async def put(self, path: str, body: dict[str, Any]) -> None:
        """Raises TopologyError."""
        await self._call("PUT", path, body)

    async def delete(self, path: str, *, missing_ok: bool = False) -> None:
        """Raises TopologyError."""
        await self._call("DELETE", path, None, missing_ok=missing_ok)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None, *, missing_ok: bool = False) -> Any:
        url = URL(f"{self._base}/{path}", encoded=True)
        try:
            async with self._session.request(method, url, json=body) as answer:
                if answer.status == 404 and missing_ok:
                    return None
                if answer.status >= 400:
                    raise TopologyError(f"{method} {path}: {answer.status} {(await answer.text())[:200]}")
                return await answer.json() if method == "GET" else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TopologyError(f"the management API does not answer: {type(error).__name__}") from error
