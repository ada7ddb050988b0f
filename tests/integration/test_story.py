"""The bank's story through the gateway with a plain AMQP client as listener, with and without faults."""

from typing import Any

import pytest

from crm_local.suite import SERVICES
from tests.integration.life import told
from tests.integration.suite import Person, Suite

FACTS = {
    "campaign": ["created", "readied", "launched"],
    "lead 0": ["created"],
    "lead 1": ["created", "contacted", "updated", "qualified"],
    "lead 2": ["created", "disqualified"],
    "call": ["created", "completed"],
    "account": ["created", "updated"],
    "contact": ["created"],
    "deal": ["created", "stage_changed", "won"],
    "follow-up": ["created"],
    "case": ["created", "held", "resumed", "resolved"],
    "call-back": ["created"],
}


async def test_a_lead_becomes_a_customer_and_everybody_hears_of_it(suite: Suite, administrator: Person) -> None:
    end = await told(suite, administrator)
    assert {name: [fact for fact, _ in events] for name, events in end["events"].items()} == FACTS
    for events in end["events"].values():
        assert [version for _, version in events] == list(range(1, len(events) + 1))
    assert [row[0] for row in end["refused"]] == ["row", "5"]
    assert (end["account"]["name"], end["contact"]["full_name"]) == ("大和商事株式会社", "花子 佐藤")
    figures = end["figures"]
    assert (figures["leads"], figures["qualified"], figures["won_count"]) == (3, 1, 1)
    assert figures["won_revenue"] == {"amount": "2500.00", "currency": "EUR"}
    funnel = end["funnel"]
    assert (funnel["leads"]["count"], funnel["leads"]["won"], funnel["opportunities"]["won"]) == (3, 1, 1)
    customer = end["customer"]
    assert [len(customer[part]["items"]) for part in ("contacts", "leads", "opportunities", "cases", "campaigns")] == [
        1
    ] * 5
    sales = ("lead.created", "lead.contacted", "lead.qualified", "opportunity.stage_changed", "opportunity.won")
    assert {"phone_call", "task", *(f"crm.sales.{fact}.v1" for fact in sales)} <= set(end["timeline"])


@pytest.fixture(scope="module")
def untroubled() -> dict[str, Any]:
    """The outcome of the story without faults, played on first use."""
    return {}


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
async def test_the_end_is_the_same_when_a_service_dies_twice_and_hangs_once(
    suite: Suite, administrator: Person, untroubled: dict[str, Any], service: str
) -> None:
    if not untroubled:
        untroubled |= await told(suite, administrator)
    end = await told(suite, administrator, service)
    assert {name: end[name] for name in untroubled} == untroubled
