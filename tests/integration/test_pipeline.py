"""A company imports its accounts, products, people and deals through the public API. The totals are then correct."""

from bench.migration import Migration
from bench.pipeline import Pipeline, made_up
from tests.integration.suite import CHECKOUT, Person, Suite

FILES = CHECKOUT.parent / "shared" / "data" / "b2b-pipeline"


async def test_what_was_won_before_is_won_here(suite: Suite, administrator: Person) -> None:
    pipeline = Pipeline.read(FILES) if FILES.is_dir() else made_up(500)
    moved = Migration(administrator.session, pipeline)
    before = await moved.won(), await moved.statuses()
    await moved.run()
    count, value = await moved.won()
    assert (count - before[0][0], value - before[0][1]) == pipeline.won
    after = await moved.statuses()
    assert {status: after[status] - before[1][status] for status in after} == pipeline.statuses
    agent = pipeline.deals[0]["sales_agent"]
    users = await administrator.send("POST", "/users/query", {"filter": {"field": "name", "op": "eq", "value": agent}})
    path = f"/opportunities?owner_id={users['items'][0]['id']}&limit=1&count=exact"
    assert (await administrator.send("GET", path))["count"] == sum(
        deal["sales_agent"] == agent for deal in pipeline.deals
    )
