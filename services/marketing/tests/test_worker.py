"""The worker as a process on a real broker: from events of sales to figures, and from a launch to its event."""

import asyncio
import os
import socket
import sys
from typing import Any

from crm_contracts.sales.lead import LeadCreated, LeadQualified
from crm_contracts.sales.opportunity import OpportunityCreated, OpportunityWon
from crm_kit.broker.messages import outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, Rabbit
from crm_marketing.consumers import CONSUMERS

from .conftest import Story

CAMPAIGNS = "/api/v1/campaigns"
RUN = "from crm_marketing.worker import run; run()"


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


async def test_events_of_sales_become_figures_by_themselves(
    rabbit: Rabbit, settings: Settings, client: Client, runtime: Runtime
) -> None:
    await rabbit.declare({"marketing": CONSUMERS.routing_keys()})
    env = {
        **os.environ,
        "CRM_SERVICE": "marketing",
        "CRM_ROLE": "worker",
        "CRM_SECRET": settings.secret.get_secret_value(),
        "CRM_PORT": str(a_free_port()),
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": rabbit.amqp_url,
        "CRM_JWKS_URL": settings.jwks_url,
    }
    cost = {"amount": "400.00", "currency": "EUR"}
    campaign = (await client.post(CAMPAIGNS, {"name": "Gold card", "other_cost": cost})).json["id"]
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, env=env)
    try:
        lead, deal = Story(), Story()
        won: dict[str, Any] = {"status": "won", "actual_value_base": {"amount": "1000.00", "currency": "EUR"}}
        await publish(
            rabbit,
            lead.tell(LeadCreated, status="open", campaign_id=campaign),
            lead.tell(LeadQualified, status="qualified"),
            deal.tell(OpportunityCreated, status="open", campaign_id=campaign),
            deal.tell(OpportunityWon, **won),
        )
        async with asyncio.timeout(120):
            while True:
                after = {"crm-after": f"lead/{lead.id}@2, opportunity/{deal.id}@2"}
                answer = await client.get(f"{CAMPAIGNS}/{campaign}/figures", headers=after)
                if answer.status == 200:
                    break
                assert (answer.problem, worker.returncode) == ("not-yet-projected", None)
            found = answer.json
            assert (found["leads"], found["qualified"], found["opportunities"], found["roi"]) == (1, 1, 1, 1.5)
            pending = "select exists (select from outbox where state = 'pending')"
            async with runtime.db.autocommit() as conn:
                while (await conn.exec_driver_sql(pending)).scalar_one():
                    assert worker.returncode is None
                    await asyncio.sleep(0.05)
    finally:
        worker.terminate()
        assert await worker.wait() == 0
