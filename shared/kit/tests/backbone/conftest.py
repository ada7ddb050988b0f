"""A database of its own for every test, and a virtual host for whoever asks for one, as the miniature service has them."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import orjson
import pytest

from crm_contracts.envelope import Envelope, dataschema_of
from crm_kit import clock
from crm_kit.broker.messages import outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.operating import topology
from crm_kit.process.runtime import Runtime, open_runtime
from crm_kit.store.database import Database
from crm_kit.store.record import new_id
from crm_kit.store.searching import functions
from crm_local.servers import Servers

from .miniature import SERVICE, Base, consumers


@pytest.fixture(scope="session")
async def template(servers: Servers) -> AsyncIterator[str]:
    """The name of a database with the miniature service's tables, which the tests' own are copies of."""
    name = f"backbone_template_{secrets.token_hex(6)}"
    operator = await asyncpg.connect(servers.database_url)
    await operator.execute(f"create database {name}")
    database = Database(_in(servers, name), pool_size=1, application_name="test setup")
    async with database.begin() as conn:
        for statement in functions():
            await conn.exec_driver_sql(statement)
        await conn.run_sync(Base.metadata.create_all)
    await database.dispose()
    yield name
    await operator.execute(f"drop database {name} with (force)")
    await operator.close()


@pytest.fixture
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    name = f"backbone_{secrets.token_hex(6)}"
    operator = await asyncpg.connect(servers.database_url)
    await operator.execute(f"create database {name} template {template}")
    yield _in(servers, name)
    await operator.execute(f"drop database {name} with (force)")
    await operator.close()


def _in(servers: Servers, database: str) -> str:
    return urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{database}"))


@pytest.fixture
async def amqp_url(servers: Servers) -> AsyncIterator[str]:
    assert servers.amqp_management_url, "these tests make a virtual host each"
    vhost = f"backbone-{secrets.token_hex(6)}"
    url = urlunsplit(urlsplit(servers.amqp_url)._replace(path=f"/{vhost}"))
    caps = topology.Caps(log_bytes=100_000_000)
    await topology.apply({"mini": consumers.routing_keys()}, url, servers.amqp_management_url, caps=caps)
    yield url
    async with topology.Management(servers.amqp_management_url) as management:
        await management.delete(f"vhosts/{quote(vhost, safe='')}")


@pytest.fixture
async def rogue(amqp_url: str, servers: Servers) -> AsyncIterator[str]:
    """The broker as the user of another service, `rogue`, may use it."""
    keys = {"mini": consumers.routing_keys(), "rogue": ()}
    caps = topology.Caps(log_bytes=100_000_000)
    management_url = str(servers.amqp_management_url)
    await topology.apply(keys, amqp_url, management_url, password_of=lambda name: f"{name} secret", caps=caps)
    parts = urlsplit(amqp_url)
    user = quote(topology.user_of("rogue", amqp_url), safe="")
    yield urlunsplit(parts._replace(netloc=f"{user}:rogue%20secret@{parts.hostname}:{parts.port}"))
    async with topology.Management(management_url) as management:
        for service in keys:
            await management.delete(f"users/{quote(topology.user_of(service, amqp_url), safe='')}")


@pytest.fixture
async def runtime(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """Of a worker. It knows no broker that is there: a test that needs one asks for `amqp_url`, which takes long to make."""
    monkeypatch.setenv("CRM_VALIDATE_EVENTS", "1")
    settings = Settings.model_validate(
        {
            "CRM_SERVICE": "mini",
            "CRM_ROLE": "worker",
            "CRM_SECRET": "secret",
            "DATABASE_URL": database_url,
            "AMQP_URL": "amqp://127.0.0.1:1/nowhere",
        }
    )
    async with open_runtime(SERVICE, settings) as opened:
        yield opened


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(amqp_url, name="test")
    yield publisher
    await publisher.close()


@pytest.fixture
def dispatcher(runtime: Runtime) -> Dispatcher:
    return Dispatcher(consumers, runtime, {pair: clock.now() for pair in _pairs()})


@pytest.fixture
def intake(dispatcher: Dispatcher, amqp_url: str) -> Intake:
    return Intake(dispatcher, amqp_url)


def _pairs() -> list[tuple[str, str]]:
    return [(group.name, source) for group, source in consumers.sources()]


@dataclass
class Story:
    """One thing and what happens to it: makes the events a publisher would have sent."""

    id: UUID = field(default_factory=new_id)
    version: int = 0
    epoch: int = 0

    def tell(self, fact: str, name: str = "a name", **data: Any) -> Message:
        """The next event of this thing."""
        self.version += 1
        return Message.read(self.body(fact, self.version, name, **data))

    def body(self, fact: str, version: int, name: str = "a name", **data: Any) -> bytes:
        now = clock.now()
        record = {
            "id": str(self.id),
            "version": version,
            "created_at": now.isoformat(),
            "created_by": None,
            "modified_at": now.isoformat(),
            "modified_by": None,
            "name": name,
        }
        type_ = f"crm.mini.thing.{fact}" if ".v" in fact else f"crm.mini.thing.{fact}.v1"
        envelope = Envelope(
            id=new_id(),
            source="/crm/mini",
            type=type_,
            subject=self.id,
            time=now,
            dataschema=dataschema_of(type_),
            entityversion=version,
            actor=str(new_id()),
            correlationid=str(new_id()),
            epoch=self.epoch,
            data={"record": record, "changed": {}, **data},
        )
        return orjson.dumps(envelope.as_json())


@pytest.fixture
def story() -> Story:
    return Story()


async def send(publisher: Publisher, *messages: Message, exchange: str = EVENTS, key: str | None = None) -> None:
    """Publish as a relay does."""
    out = []
    for message in messages:
        envelope = message.envelope
        headers = {
            "id": str(envelope.id),
            "type": envelope.type,
            "source": envelope.source,
            "subject": str(envelope.subject),
            "crm-version": envelope.entityversion,
        }
        out.append(outgoing(message.body, key or envelope.type, message_id=str(envelope.id), headers=headers))
    outcomes = await publisher.publish(exchange, out)
    assert {outcome.value for outcome in outcomes} <= {"confirmed"}


async def rows(runtime: Runtime, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query gives, as plain tuples."""
    async with runtime.db.autocommit() as conn:
        return [tuple(row) for row in await conn.exec_driver_sql(sql, parameters)]


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 120) -> None:
    """Wait for a condition in another loop, process or server; fails when it does not come true."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # what is awaited happens in a database or another process
            await asyncio.sleep(0.02)


class WorkerProcess:
    """The miniature service's worker as a process of its own, to be killed."""

    def __init__(self, database_url: str, amqp_url: str, port: int, metrics_port: int) -> None:
        self._env = {
            **os.environ,
            "CRM_SERVICE": "mini",
            "CRM_ROLE": "worker",
            "CRM_SECRET": "secret",
            "DATABASE_URL": database_url,
            "AMQP_URL": amqp_url,
            "CRM_PORT": str(port),
            "CRM_METRICS_PORT": str(metrics_port),
        }
        self.port, self.metrics_port = port, metrics_port
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, failpoint: str = "") -> asyncio.subprocess.Process:
        """Start it, to die at a failpoint if one is named."""
        program = Path(__file__).with_name("miniature.py")
        env = {**self._env, "CRM_FAILPOINT": failpoint}
        self.process = await asyncio.create_subprocess_exec(sys.executable, str(program), env=env)
        return self.process

    async def stop(self) -> int:
        """Ask it to end and return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()


@pytest.fixture
async def worker(database_url: str, amqp_url: str) -> AsyncIterator[WorkerProcess]:
    servers = [await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) for _ in range(2)]
    port, metrics_port = (server.sockets[0].getsockname()[1] for server in servers)
    for server in servers:
        server.close()
        await server.wait_closed()
    process = WorkerProcess(database_url, amqp_url, port, metrics_port)
    yield process
    if process.process is not None and process.process.returncode is None:
        process.process.kill()
        await process.process.wait()
