"""What ``crm topology apply`` leaves behind, and what a service's own user may do there."""

import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from crm_kit.broker.consuming import Session, TopologyMissing
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.operating import subscribers, topology
from crm_local.servers import Servers

from .miniature import consumers

KEYS = {"mini": consumers.routing_keys(), "sales": ("crm.mini.thing.#",)}


@pytest.fixture
async def empty_vhost(servers: Servers) -> AsyncIterator[str]:
    vhost = f"topology-{secrets.token_hex(6)}"
    yield urlunsplit(urlsplit(servers.amqp_url)._replace(path=f"/{vhost}"))
    async with topology.Management(str(servers.amqp_management_url)) as management:
        for service in KEYS:
            await management.delete(f"users/{vhost}.{service}", missing_ok=True)
        await management.delete(f"vhosts/{vhost}", missing_ok=True)


async def test_it_declares_everything_twice_over_and_then_nothing_is_missing(
    empty_vhost: str, servers: Servers
) -> None:
    for _ in range(2):
        report = await topology.apply(KEYS, empty_vhost, servers.amqp_management_url, password_of=lambda name: name)
    assert not report.skipped
    assert f"virtual host {topology.vhost_of(empty_vhost)}" in report.declared
    assert await topology.check(["mini", "sales"], empty_vhost) == []
    assert await topology.check(["marketing"], empty_vhost) == [
        "exchange crm.replay.marketing is not declared; run: crm topology apply",
        "queue crm.marketing.inbox is not declared; run: crm topology apply",
        "queue crm.marketing.access is not declared; run: crm topology apply",
        "queue crm.marketing.parking is not declared; run: crm topology apply",
    ]
    async with topology.Management(str(servers.amqp_management_url)) as management:
        queues = {
            q["name"]: q for q in await management.get(f"queues/{quote(topology.vhost_of(empty_vhost), safe='')}")
        }
    assert queues["crm.log"]["type"] == "stream"
    assert queues["crm.mini.inbox"]["type"] == "quorum"


async def test_what_the_log_and_subscribers_may_hold_is_a_policy_that_can_be_changed(
    empty_vhost: str, servers: Servers
) -> None:
    own = {**subscribers.CAPS, "max-length-bytes": 64 * 2**20}
    small = topology.Caps(log_days=3, log_bytes=2 * 10**9, subscribers=own)
    large = topology.Caps(log_days=90, log_bytes=10**12)
    place = quote(topology.vhost_of(empty_vhost), safe="")
    async with topology.Management(str(servers.amqp_management_url)) as management:

        async def limits(policy: str) -> dict[str, Any]:
            found: dict[str, Any] = await management.get(f"policies/{place}/{policy}")
            return dict(found["definition"])

        for caps in (topology.Caps(), small, topology.Caps()):
            report = await topology.apply({}, empty_vhost, servers.amqp_management_url, caps=caps)
            assert report.skipped == ["users and permissions (no passwords given)"]
            assert await limits("crm-log") == {"max-age": f"{caps.log_days}D", "max-length-bytes": caps.log_bytes}
            assert await limits("crm-external") == {
                **caps.subscribers,
                "overflow": "drop-head",
                "dead-letter-exchange": "crm.dropped",
            }
        # What was declared with arguments keeps them, and says so; what is declared anew has none.
        report = await topology.apply({}, empty_vhost, servers.amqp_management_url, caps=large)
        assert any(line.startswith("crm.log beyond what it was declared with") for line in report.skipped)
        await management.delete(f"queues/{place}/crm.log")
        for _ in range(2):
            report = await topology.apply({}, empty_vhost, servers.amqp_management_url, caps=large)
            assert report.skipped == ["users and permissions (no passwords given)"]
        log = await management.get(f"queues/{place}/crm.log")
        assert log["arguments"] == {"x-queue-type": "stream"}
        assert await limits("crm-log") == {"max-age": "90D", "max-length-bytes": 10**12}


async def test_without_management_it_says_what_it_skipped(amqp_url: str) -> None:
    report = await topology.apply({"mini": consumers.routing_keys()}, amqp_url)
    assert report.skipped == [
        "virtual host (no AMQP_MANAGEMENT_URL)",
        "policies (no AMQP_MANAGEMENT_URL)",
        "users and permissions (no AMQP_MANAGEMENT_URL)",
    ]


async def test_a_services_user_publishes_its_own_events_only(empty_vhost: str, servers: Servers) -> None:
    await topology.apply(KEYS, empty_vhost, servers.amqp_management_url, password_of=lambda name: f"{name} secret")
    user = topology.user_of("sales", empty_vhost)
    parts = urlsplit(empty_vhost)
    url = urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote('sales secret')}@{parts.hostname}:{parts.port}"))
    publisher = Publisher(url, name="test")
    own = outgoing(b"{}", "crm.sales.lead.created.v1", message_id="1", headers={})
    foreign = outgoing(b"{}", "crm.mini.thing.created.v1", message_id="2", headers={})
    assert await publisher.publish(EVENTS, [own]) == [Outcome.CONFIRMED]
    assert await publisher.publish(EVENTS, [foreign]) == [Outcome.REFUSED]
    both = await publisher.publish(EVENTS, [foreign, own])
    assert both == [Outcome.CLOSED, Outcome.CLOSED], "which of them it was the broker does not say"
    assert await publisher.publish(EVENTS, [own]) == [Outcome.CONFIRMED]
    await publisher.close()
    async with Session(url, "crm.sales.inbox", name="test", prefetch=1):
        pass


async def test_a_missing_queue_is_named(amqp_url: str) -> None:
    with pytest.raises(TopologyMissing, match=r"crm\.marketing\.inbox is not declared; run: crm topology apply"):
        async with Session(amqp_url, "crm.marketing.inbox", name="test", prefetch=1):
            pass
