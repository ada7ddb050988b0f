"""The worker as a process on a real broker: from a won deal to its timeline."""

import asyncio
import os
import socket
import sys
from datetime import timedelta
from typing import Any

from crm_activities.consumers import CONSUMERS
from crm_contracts.sales.lead import LeadCreated, LeadQualified
from crm_contracts.sales.opportunity import OpportunityCreated, OpportunityWon
from crm_kit.broker.messages import outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.received import Message
from crm_kit.testing import Client, Rabbit

WON = {"name": "Gold card", "status": "won", "status_reason": "won"}
RUN = "from crm_activities.worker import run; run()"


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


async def test_a_won_deal_is_followed_up_by_itself(
    rabbit: Rabbit, settings: Settings, client: Client, rows: Any, story: Any
) -> None:
    await rabbit.declare({"activities": CONSUMERS.routing_keys()})
    env = {
        **os.environ,
        "CRM_SERVICE": "activities",
        "CRM_ROLE": "worker",
        "CRM_SECRET": settings.secret.get_secret_value(),
        "CRM_PORT": str(a_free_port()),
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": rabbit.amqp_url,
        "CRM_JWKS_URL": settings.jwks_url,
    }
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, env=env)
    try:
        # The rules are older than the events of the story, which happened yesterday.
        await rows("update activity_rule set since = since - interval '2 days' returning id")
        lead = story()
        deal = story(at=lead.at + timedelta(minutes=5))
        links = {"opportunity_id": str(deal.id), "account_id": None, "contact_id": None}
        await publish(
            rabbit,
            lead.tell(LeadCreated, dict.fromkeys(links)),
            deal.tell(OpportunityCreated),
            lead.tell(LeadQualified, links, **links),
            deal.tell(OpportunityWon, WON),
        )
        async with asyncio.timeout(120):
            # The task's own event passes the relay and the queue, and makes a reference of the task.
            while not (found := await rows("select id from record_ref where type = 'task' and version = 1")):
                assert worker.returncode is None
                await asyncio.sleep(0.05)
        [(task_id,)] = found
        answer = await client.get(
            f"/api/v1/timeline?regarding={lead.id}", headers={"crm-after": f"task/{task_id}@1, lead/{lead.id}@2"}
        )
        assert [item["title"] for item in answer.json["items"]] == [
            *("Follow up: Gold card", "Deal won: 1200.00 EUR", "Deal created", "Lead qualified", "Lead created")
        ]
    finally:
        worker.terminate()
        assert await worker.wait() == 0
