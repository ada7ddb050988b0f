"""``allowed_actions`` is exact in every state: listed commands succeed, and all others are refused."""

import pytest

from crm_sales.goal.domain import LIFECYCLE as GOAL
from crm_sales.lead.domain import LIFECYCLE as LEAD
from crm_sales.opportunity.domain import LIFECYCLE as OPPORTUNITY
from crm_sales.sales_contract.domain import LIFECYCLE as SALES_CONTRACT

from .journey import ADA, Json, Sales, euros

PATHS = {
    "leads": [
        [],
        ["contact"],
        ["qualify"],
        ["disqualify"],
        ["qualify", "reopen"],
        ["disqualify", "reopen"],
    ],
    "opportunities": [[], ["hold"], ["hold", "resume"], ["win"], ["lose"], ["hold", "win", "reopen"]],
    "goals": [[], ["close"], ["discard"], ["close", "reopen"]],
    "sales-contracts": [[], ["activate"], ["activate", "end"], ["activate", "terminate"]],
}
MOVES = {
    "leads": LEAD.moves,
    "opportunities": OPPORTUNITY.moves,
    "goals": GOAL.moves,
    "sales-contracts": SALES_CONTRACT.moves,
}
CASES = [
    (collection, path, command)
    for collection, paths in PATHS.items()
    for path in paths
    for command in MOVES[collection]
]
BODIES = {"advance": {"stage": "develop"}, "terminate": {"reason": "The fleet was sold"}}


async def make(sales: Sales, collection: str) -> Json:
    if collection == "leads":
        return await sales.make("leads", **ADA)
    if collection == "goals":
        period = {"period_start": "2026-01-01", "period_end": "2026-12-31"}
        return await sales.make("goals", name="Deals", metric="won_count", target_count=1, **period)
    account = await sales.make("accounts", name="Movers")
    customer = {"type": "account", "id": account["id"]}
    if collection == "sales-contracts":
        period = {"start_date": "2090-01-01", "end_date": "2090-12-31"}
        return await sales.make("sales-contracts", name="Fleet", customer=customer, **period)
    return await sales.make("opportunities", name="Fleet", customer=customer, estimated_value=euros("1.00"))


@pytest.mark.parametrize(
    ("collection", "path", "command"), CASES, ids=lambda part: "-".join(part) if isinstance(part, list) else part
)
async def test_allowed_actions_tell_the_truth(sales: Sales, collection: str, path: list[str], command: str) -> None:
    record = await make(sales, collection)
    for step in path:
        record = await sales.act(collection, record, step, **BODIES.get(step, {}))
    answer = await sales.try_act(collection, record, command, **BODIES.get(command, {}))
    if command in record["allowed_actions"]:
        assert answer.status == 200
        assert answer.json["version"] == record["version"] + 1
    else:
        assert (answer.status, answer.problem) == (409, "illegal-transition")
        merges = collection in ("leads", "opportunities") and record["status"] == "open"
        assert [*answer.json["allowed"], "assign", *(["merge"] if merges else [])] == record["allowed_actions"]
