"""The funnel of the real suite, compared with a recount in sales' database."""

import asyncio
from typing import Any

import asyncpg

from crm_local.suite import in_database
from tests.integration.suite import Person, Suite
from tests.recount import differences, heard, recount, versions


async def sell(person: Person) -> None:
    """Move deals forwards and backwards, win, lose, reopen, hold and delete them, in two currencies, some made of
    leads."""
    rate = {"currency": "USD", "rate": "0.9", "valid_from": "2020-01-01"}
    await person.send("POST", "/exchange-rates", rate, status=201)
    stages = (await person.send("GET", "/sales-stages?sort=position"))["items"]
    names = [stage["name"] for stage in stages]
    extra = await person.send(
        "POST", "/sales-stages", {"name": "negotiate", "position": 3, "probability": 75}, status=201
    )

    async def deal(*steps: str, **fields: Any) -> str:
        customer = await person.send("POST", "/accounts", {"name": f"Buyer of {fields}"}, status=201)
        body = {"name": "Gold cards", "customer": {"type": "account", "id": customer["id"]}, **fields}
        found = await person.send("POST", "/opportunities", body, status=201)
        for step in steps:
            verb, body = ("advance", {"stage": step}) if step in (*names, extra["name"]) else (step, {})
            await person.send("POST", f"/opportunities/{found['id']}/{verb}", body)
        return str(found["id"])

    euros, dollars = {"amount": "1000.05", "currency": "EUR"}, {"amount": "333.33", "currency": "USD"}
    await deal("develop", "propose", "close", "win", estimated_value=euros)
    await deal("develop", "qualify", "develop", "negotiate", estimated_value=dollars, probability=33.33)
    await deal("close", "lose", "reopen", "qualify", "hold", estimated_value=dollars)
    await deal("propose", "win", "reopen", "win", estimated_value=euros)
    await deal("negotiate", "propose", "lose")
    await deal("develop", estimated_value=euros)
    await person.send("DELETE", f"/opportunities/{await deal('develop')}", status=204, headers={"If-Match": "*"})
    for name, steps in (("Ann", ("qualify",)), ("Bob", ("disqualify",)), ("Cyd", ("qualify",)), ("Dee", ())):
        lead = await person.send(
            "POST", "/leads", {"topic": "Card", "last_name": name, "estimated_value": euros}, status=201
        )
        for step in steps:
            lead = await person.send("POST", f"/leads/{lead['id']}/{step}")
        if name == "Ann":
            await person.send("POST", f"/opportunities/{lead['opportunity_id']}/win")


async def test_the_funnel_equals_a_recount_from_the_database_of_sales(suite: Suite, administrator: Person) -> None:
    await sell(administrator)
    status = suite.status
    sales = await asyncpg.connect(in_database(status["database_url"], f"{status['instance']}_crm_sales"))
    try:

        async def get(after: str) -> int:
            async with administrator.session.get("/api/v1/funnel", headers={"Crm-After": after}) as answer:
                return answer.status

        async with asyncio.timeout(120):
            await heard(get, await versions(sales))
        administrator.after = ""
        funnel, counted = await administrator.send("GET", "/funnel"), await recount(sales)
    finally:
        await sales.close()
    assert differences(funnel, counted) == []
    assert funnel["opportunities"]["won"] >= 3
    assert sum(stage["advanced"] for stage in funnel["stages"]) >= 6
    async with administrator.session.get("/api/v1/funnel", headers={"Accept": "text/csv"}) as table:
        assert table.headers["content-type"].startswith("text/csv")
        assert len((await table.text()).splitlines()) == 1 + len(funnel["stages"])
