"""The filter of leads by the customer that they became."""

from uuid import uuid4

from .journey import ADA, Sales


async def test_leads_are_found_by_the_account_or_contact_they_became(sales: Sales) -> None:
    ada = await sales.make("leads", **ADA)
    person = await sales.make("leads", topic="Gold card", last_name="Byron")
    open_lead = await sales.make("leads", topic="Silver card", last_name="Babbage")
    won, alone = await sales.act("leads", ada, "qualify"), await sales.act("leads", person, "qualify")

    async def found(query: str) -> list[str]:
        answer = await sales.client.get(f"/api/v1/leads?{query}&sort=created_at")
        assert answer.status == 200, answer.body
        return [lead["id"] for lead in answer.json["items"]]

    assert await found(f"customer.id={won['account_id']}") == [ada["id"]]
    assert await found(f"customer.id={won['contact_id']}") == [ada["id"]]
    assert await found(f"customer.id[in]={won['account_id']},{alone['contact_id']}") == [ada["id"], person["id"]]
    assert await found(f"customer.id[ne]={won['account_id']}") == [person["id"], open_lead["id"]]
    assert await found(f"customer.id[nin]={won['contact_id']},{alone['contact_id']}") == [open_lead["id"]]
    assert await found("customer.id[is_null]=true") == [open_lead["id"]]
    assert await found("customer.id[is_null]=false") == [ada["id"], person["id"]]
    assert await found(f"customer.id={uuid4()}") == []
