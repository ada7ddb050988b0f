"""The worker as a process on a real broker: from events of sales to the funnel."""

import asyncio
import os
import socket
import sys

from crm_insights.consumers import CONSUMERS
from crm_kit.broker.messages import outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.received import Message
from crm_kit.testing import Client, Rabbit

from .selling import Deal, Lead, four_stages, recount
from .test_funnel import FUNNEL

RUN = "from crm_insights.worker import run; run()"


async def publish(rabbit: Rabbit, *messages: Message) -> None:
    publisher = Publisher(rabbit.amqp_url, name="test")
    events = [
        outgoing(m.body, m.envelope.type, message_id=str(m.envelope.id), headers={"type": m.envelope.type})
        for m in messages
    ]
    outcomes = await publisher.publish(EVENTS, events)
    await publisher.close()
    assert {outcome.value for outcome in outcomes} == {"confirmed"}


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_events_of_sales_become_the_funnel_by_themselves(
    rabbit: Rabbit, settings: Settings, client: Client
) -> None:
    await rabbit.declare({"insights": CONSUMERS.routing_keys()})
    env = {
        **os.environ,
        "CRM_SERVICE": "insights",
        "CRM_ROLE": "worker",
        "CRM_SECRET": settings.secret.get_secret_value(),
        "CRM_PORT": str(a_free_port()),
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": rabbit.amqp_url,
        "CRM_JWKS_URL": settings.jwks_url,
    }
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, env=env)
    try:
        stages, told = four_stages()
        lead, deal = Lead(), Deal()
        told += [lead.made(status="qualified"), deal.made(stages[0], originating_lead_id=str(lead.id))]
        told += [deal.advance(stages[2]), deal.won("1000.00")]
        await publish(rabbit, *told)
        known = [f"sales_stage/{stage.id}@1" for stage in stages]
        after = {"crm-after": ", ".join([*known, f"lead/{lead.id}@1", f"opportunity/{deal.id}@3"])}
        async with asyncio.timeout(120):
            while True:
                answer = await client.get(FUNNEL, headers=after)
                if answer.status == 200:
                    break
                assert (answer.problem, worker.returncode) == ("not-yet-projected", None)
        found = answer.json
        del found["as_of"]
        assert found == recount(stages, [lead], [deal])
    finally:
        worker.terminate()
        assert await worker.wait() == 0
