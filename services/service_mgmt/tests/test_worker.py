"""The worker as a process on a real broker: it handles a customer's event and publishes that of a case."""

import asyncio
import os
import socket
import sys
from typing import Any

from crm_kit.broker.messages import outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.testing import Client, Rabbit
from crm_service_mgmt.consumers import CONSUMERS

from .conftest import Rows
from .desk import CASES, Customer

RUN = "from crm_service_mgmt.worker import run; run()"


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_a_customer_comes_in_and_a_case_goes_out(
    rabbit: Rabbit, settings: Settings, client: Client, rows: Rows
) -> None:
    await rabbit.declare({"service": CONSUMERS.routing_keys()})
    env: dict[str, Any] = {
        **os.environ,
        "CRM_SERVICE": "service",
        "CRM_ROLE": "worker",
        "CRM_SECRET": settings.secret.get_secret_value(),
        "CRM_PORT": str(a_free_port()),
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": rabbit.amqp_url,
        "CRM_JWKS_URL": settings.jwks_url,
    }
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, env=env)
    try:
        ada = Customer("contact", "Ada Lovelace")
        message = ada.created()
        publisher = Publisher(rabbit.amqp_url, name="test")
        kind, id_ = message.envelope.type, str(message.envelope.id)
        outcomes = await publisher.publish(
            EVENTS, [outgoing(message.body, kind, message_id=id_, headers={"type": kind})]
        )
        await publisher.close()
        assert [outcome.value for outcome in outcomes] == ["confirmed"]
        async with asyncio.timeout(120):
            while not await rows("select id from customer_ref where id = $1 and version = 1", ada.id):
                assert worker.returncode is None
                await asyncio.sleep(0.05)
        headers = {"crm-after": f"contact/{ada.id}@1"}
        answer = await client.post(CASES, {"title": "The bill is wrong", "customer": ada.ref}, headers=headers)
        assert answer.status == 201
        async with asyncio.timeout(120):
            while not await rows("select id from outbox where entity_type = 'case' and state = 'published'"):
                assert worker.returncode is None
                await asyncio.sleep(0.05)
    finally:
        worker.terminate()
        assert await worker.wait() == 0
