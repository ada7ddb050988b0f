"""AMQP_URL: TLS, several brokers, and errors for brokers that cannot be used."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from crm_kit.broker import declaring
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.consuming import Session
from crm_kit.broker.declaring import Exchange, Queue
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.publishing import Publisher
from crm_kit.network.amqp_urls import Brokers
from crm_kit.network.urls import (
    BadUrl,
    as_user,
    in_vhost,
    without_parameters,
)
from crm_kit.operating import topology
from crm_local.ports import choose
from crm_local.servers.rabbitmq import answers
from tests.connections.certificates import Authority
from tests.connections.conftest import Files, Rabbit

Trust = tuple[Authority, str]


async def works(url: str) -> None:
    """Declare, publish and consume."""
    await declaring.declare(url, [Exchange("some", "topic")], [Queue("some", {}, (("some", "#"),))])
    publisher = Publisher(url, name="test")
    try:
        message = outgoing(b"a body", "a.key", message_id="1", headers={})
        assert await publisher.publish("some", [message]) == [Outcome.CONFIRMED]
        async with Session(url, "some", name="test", prefetch=1) as session:
            (delivery,) = await session.batch(1)
            assert (delivery.body, delivery.user) == (b"a body", "liaison")
            await session.ack(delivery.tag)
    finally:
        await publisher.close()


async def refusal(url: str) -> str:
    """Return why this broker cannot be used."""
    with pytest.raises(BrokerDown) as refused:
        await declaring.missing(url, [], [])
    return str(refused.value)


async def test_events_go_over_tls(rabbit: Rabbit, authority: Trust) -> None:
    await works(rabbit.url(query=f"cacertfile={authority[1]}&verify=verify_peer"))


async def test_the_name_of_the_certificate_may_be_another_than_the_hosts(rabbit: Rabbit, authority: Trust) -> None:
    trusted = f"cacertfile={authority[1]}"
    assert "certificate is not trusted" in await refusal(rabbit.url("127.0.0.1", trusted))
    assert await declaring.missing(rabbit.url("127.0.0.1", f"{trusted}&server_name_indication=localhost"), [], []) == []


async def test_who_signed_is_minded_unless_told_otherwise(rabbit: Rabbit, stranger: str) -> None:
    for query in (f"cacertfile={stranger}", ""):
        assert "certificate is not trusted" in await refusal(rabbit.url(query=query))
    assert await declaring.missing(rabbit.url("127.0.0.1", "verify=verify_none"), [], []) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (lambda r, t, _: r.url(query=t, password="hunter2"), "the log-in was refused, ACCESS_REFUSED"),
        (lambda r, t, _: r.url(query=t, password="hunter2"), ": correct the user 'liaison' or its password"),
        (
            lambda r, t, _: r.url(query=t).replace("%2F", "nowhere"),
            "the virtual host 'nowhere' was refused: it does not exist",
        ),
        (
            lambda r, _, __: f"amqp://u:hunter2@localhost:{choose(1)[0]}/v",
            "nothing listens there: start the broker, or correct",
        ),
        (lambda r, _, __: "amqp://u:hunter2@nowhere.invalid/v", "the host is not known"),
        (lambda r, t, _: r.url(query=t, port=r.plain), "the port does not speak TLS: write amqp://"),
        (lambda r, _, __: f"amqp://u:hunter2@localhost:{r.port}/v", "a port that wants TLS needs amqps://"),
        (lambda r, _, s: r.url(query=f"cacertfile={s}"), ": name the certificate of its authority as cacertfile"),
        (lambda r, t, _: r.url("127.0.0.1", t), "or the name as server_name_indication"),
    ],
    ids=["password", "user", "vhost", "port", "host", "tls to plain", "plain to tls", "authority", "name"],
)
async def test_a_broker_that_cannot_be_had_is_told_with_what_to_do(
    rabbit: Rabbit, authority: Trust, stranger: str, url: Callable[[Rabbit, str, str], str], told: str
) -> None:
    said = await refusal(url(rabbit, f"cacertfile={authority[1]}", stranger))
    assert said.startswith("AMQP_URL, ")
    assert told in said
    assert not {"hunter2", rabbit.password} & set(said.replace(":", " ").replace("@", " ").split())
    assert "\n" not in said


async def test_a_management_api_that_refuses_is_told_as_such(rabbit: Rabbit, authority: Trust) -> None:
    url = rabbit.management_url.replace(rabbit.password, "hunter2")
    with pytest.raises(topology.TopologyError, match=r"^AMQP_MANAGEMENT_URL, .* correct user and password$"):
        async with topology.Management(f"{url}?cacertfile={authority[1]}") as management:
            await management.get("whoami")


async def test_brokers_of_a_list_are_tried_in_turn(rabbit: Rabbit, authority: Trust) -> None:
    closed = choose(1)[0]
    gone, there = rabbit.url("nowhere.invalid"), rabbit.url(query=f"cacertfile={authority[1]}")
    await works(f"{rabbit.url(port=closed)},{gone},{there}")
    await works(there.replace("@localhost", f"@localhost:{closed},localhost"))
    told = await refusal(f"{rabbit.url(port=closed)},{gone}")
    assert f"localhost:{closed}" in told
    assert "the host is not known" in told


@pytest.fixture
def relayed(rabbit: Rabbit) -> Iterator["Forward"]:
    """A second address of the node, which can be closed."""
    with Forward(rabbit.plain) as forward:
        yield forward


class Forward:
    """Another port of the node, served by a separate process, so that it answers whatever the test's loop does."""

    def __init__(self, port: int) -> None:
        self.port = choose(1)[0]
        self._argv = [sys.executable, "-c", FORWARD, str(self.port), str(port)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Forward":
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        return self

    def close(self) -> None:
        """Close the port."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.communicate()

    def __exit__(self, *_: object) -> None:
        self.close()


FORWARD = """
import asyncio, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def serve(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, back), pump(there, writer))
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("listening", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


async def test_a_publisher_goes_on_at_the_next_broker(rabbit: Rabbit, relayed: Forward) -> None:
    url = f"amqp://liaison:{rabbit.password}@127.0.0.1:{relayed.port},127.0.0.1:{rabbit.plain}/%2F"
    await declaring.declare(url, [Exchange("some", "topic")], [Queue("some", {}, (("some", "#"),))])
    publisher = Publisher(url, name="test")
    message = outgoing(b"a body", "a.key", message_id="1", headers={})
    try:
        assert await publisher.publish("some", [message]) == [Outcome.CONFIRMED]
        relayed.close()
        async with Session(url, "some", name="test", prefetch=10):
            outcomes = [await publisher.publish("some", [message]) for _ in range(2)]
        assert [Outcome.CONFIRMED] in outcomes
        assert await publisher.publish("some", [message]) == [Outcome.CONFIRMED]
    finally:
        await publisher.close()


async def test_the_management_api_goes_over_tls(rabbit: Rabbit, authority: Trust, stranger: str) -> None:
    async with topology.Management(f"{rabbit.management_url}?cacertfile={authority[1]}") as management:
        assert await management.get("whoami")
    assert answers(f"{rabbit.management_url}?cacertfile={authority[1]}")
    with pytest.raises(topology.TopologyError, match="certificate"):
        async with topology.Management(f"{rabbit.management_url}?cacertfile={stranger}") as management:
            await management.get("whoami")
    assert not answers(f"{rabbit.management_url}?cacertfile={stranger}")


async def test_a_client_may_show_a_certificate(rabbit: Rabbit, authority: Trust, files: Files) -> None:
    certificate, key = authority[0].certify("a service")
    mine = f"certfile={files.write('service.crt', certificate)}&keyfile={files.write('service.key', key)}"
    assert await declaring.missing(rabbit.url(query=f"cacertfile={authority[1]}&{mine}"), [], []) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://h", "must look like amqp://"),
        ("amqps://u:hunter2@h/v?cacertfile=/nowhere.pem", "cacertfile: /nowhere.pem does not exist"),
        ("amqps://u:hunter2@h/v?verify=maybe", "verify must be one of: verify_peer, verify_none"),
        ("amqps://u:hunter2@h/v?color=blue", "'color' is not a known parameter"),
        ("amqp://u:hunter2@h/v?verify=verify_peer", "without TLS this does nothing"),
        ("amqp://u:hunter2@h/v?heartbeat=often", "whole number of seconds"),
        ("amqp://u:hunter2@a/v,amqp://u:hunter2@b/w", "must have the same user and virtual host"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_secret(url: str, told: str) -> None:
    with pytest.raises(BadUrl) as refused:
        Brokers.of(url)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_list_is_given_to_services_as_a_list() -> None:
    url = "amqp://o:p@a,b:1/x?heartbeat=5,amqps://o:p@c/x"
    assert in_vhost(url, "a/b") == "amqp://o:p@a,b:1/a%2Fb?heartbeat=5,amqps://o:p@c/a%2Fb"
    assert as_user(url, "s:", "q@") == "amqp://s%3A:q%40@a,b:1/x?heartbeat=5,amqps://s%3A:q%40@c/x"
    assert without_parameters(url) == "amqp://o:p@a,b:1/x,amqps://o:p@c/x"
    assert [str(one) for one in Brokers.of(url).all] == ["a:5672", "b:1", "c:5671"]


def test_topology_apply_ends_at_once_with_the_reason(rabbit: Rabbit, stranger: str) -> None:
    told = {
        "CRM_INSTANCE": "x",
        "DATABASE_URL": "postgresql://h/d",
        "AMQP_URL": rabbit.url(query=f"cacertfile={stranger}", password="hunter2"),
        "AMQP_MANAGEMENT_URL": f"{rabbit.management_url}?cacertfile={stranger}",
        "CRM_SERVICE_PASSWORDS": ",".join(f"{name}=hunter2" for name in SERVICES),
    }
    argv = [sys.executable, "-m", "crm_local", "topology", "check"]
    done = subprocess.run(argv, env={**os.environ, **told}, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "certificate is not trusted" in done.stderr) == (1, True)
    assert "hunter2" not in done.stderr + done.stdout


SERVICES = ("identity", "sales", "activities", "marketing", "service", "insights", "gateway")
