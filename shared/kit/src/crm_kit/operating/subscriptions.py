"""Reads subscribers with their users and queues from one broker, and creates them at another.

A broker returns and accepts hashes of passwords, so subscribers keep their passwords.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from crm_kit import clock
from crm_kit.broker import declaring
from crm_kit.broker.declaring import Queue
from crm_kit.broker.management import Management, user_of, vhost_of
from crm_kit.operating.subscribers import bindings_of, confine, patterns_in, reads_log

_OWN_POLICIES = "crm-"


@dataclass(frozen=True, slots=True)
class KeptQueue:
    """A queue, its patterns, and the number of its messages."""

    name: str
    patterns: list[str]
    messages: int


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What does not belong to the suite at a broker, as of ``read_at``."""

    read_at: datetime
    users: list[dict[str, Any]] = field(default_factory=list)
    """The users, without the prefix that the virtual host adds to their names."""
    queues: list[KeptQueue] = field(default_factory=list)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The operator's own policies, by their part of the API."""

    def document(self) -> dict[str, Any]:
        """Return a document that can be written as JSON."""
        return {**asdict(self), "read_at": self.read_at.isoformat()}

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Subscriptions":
        """Read what ``document`` returned."""
        queues = [KeptQueue(**queue) for queue in document["queues"]]
        return cls(datetime.fromisoformat(document["read_at"]), document["users"], queues, dict(document["policies"]))


async def read(amqp_url: str, management_url: str) -> Subscriptions:
    """Read the present subscribers and policies. Raises TopologyError and BrokerDown."""
    vhost, prefix = quote(vhost_of(amqp_url), safe=""), user_of("ext.", amqp_url)
    at = clock.now()
    async with Management(management_url) as management:
        users = [
            {
                "name": user["name"].removeprefix(prefix),
                "password_hash": user["password_hash"],
                "hashing_algorithm": user["hashing_algorithm"],
                "reads_log": await reads_log(management, user["name"].removeprefix(prefix), amqp_url),
            }
            for user in await management.get("users")
            if user["name"].startswith(prefix)
        ]
        told = [one for one in await management.get(f"queues/{vhost}") if one["name"].startswith("ext.")]
        waiting = await declaring.depths(amqp_url, [one["name"] for one in told])
        queues = [
            KeptQueue(
                one["name"],
                await patterns_in(management, one["name"], amqp_url),
                # The first includes unacknowledged messages. The second is also right for a node that has just started.
                max(int(one.get("messages", 0)), waiting[one["name"]]),
            )
            for one in told
        ]
        policies = {
            kind: [
                {key: policy[key] for key in ("name", "pattern", "apply-to", "priority", "definition")}
                for policy in await management.get(f"{kind}/{vhost}")
                if not policy["name"].startswith(_OWN_POLICIES)
            ]
            for kind in ("policies", "operator-policies")
        }
    return Subscriptions(at, users, queues, policies)


async def make_users(kept: Subscriptions, amqp_url: str, management_url: str) -> None:
    """Create the users and policies, and the virtual host if it does not exist. Raises TopologyError.

    ``topology.apply`` sets what subscribers may bind, after ``make_queues``.
    """
    vhost, prefix = quote(vhost_of(amqp_url), safe=""), user_of("ext.", amqp_url)
    async with Management(management_url) as management:
        await management.put(f"vhosts/{vhost}", {})
        for user in kept.users:
            said = {key: user[key] for key in ("password_hash", "hashing_algorithm")}
            await management.put(f"users/{quote(prefix + user['name'], safe='')}", {**said, "tags": ""})
            # A backup of an earlier release does not say it.
            await confine(management, user["name"], amqp_url, reads_log=user.get("reads_log", False))
        for kind, policies in kept.policies.items():
            for policy in policies:
                said = {key: value for key, value in policy.items() if key != "name"}
                await management.put(f"{kind}/{vhost}/{quote(policy['name'], safe='')}", said)


async def make_queues(kept: Subscriptions, amqp_url: str) -> None:
    """Create the queues with their bindings. The exchanges must exist. Raises BrokerDown."""
    queues = [
        Queue(one.name, {"x-queue-type": "quorum"}, tuple(bindings_of(one.name, one.patterns))) for one in kept.queues
    ]
    await declaring.declare(amqp_url, (), queues)
