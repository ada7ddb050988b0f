"""A page of a timeline reads about as much of a record with very many activities as of one with few."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crm_activities.task.model import Task
from crm_activities.timeline import query
from crm_contracts.sales.lead import LeadCreated
from crm_kit.process.runtime import Runtime
from crm_kit.store.parameters import Parameters
from crm_kit.testing import Client

FEW, MANY = 100, 20_000
COPIES = """
insert into task ({columns}) select {values} from task t, generate_series(1, {count}) n where t.id = '{id}'
"""


class Asked:
    """The statement of a page of a timeline and its values, as the service sent them last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        self.parameters: list[Parameters] = []
        statements, parameters = self.statements, self.parameters

        class Template(str):
            def format(self, *args: Any, **values: Any) -> str:
                statements.append(super().format(*args, **values))
                return statements[-1]

        class Kept(Parameters):
            def __init__(self) -> None:
                super().__init__()
                parameters.append(self)

        monkeypatch.setattr(query, "PAGE_SQL", Template(query.PAGE_SQL))
        monkeypatch.setattr(query, "Parameters", Kept)

    async def plan(self, runtime: Runtime) -> dict[str, Any]:
        """Explain the statement by executing it."""
        async with runtime.db.begin() as conn:
            explained = await conn.exec_driver_sql(
                f"explain (analyze, buffers, format json) {self.statements[-1]}", tuple(self.parameters[-1].values)
            )
            found = explained.scalar_one()
        plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return plan


def rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Yield the rows that each scan of a table reads, including those that it filters out."""
    if "Relation Name" in node:
        thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield node["Actual Loops"] * (node["Actual Rows"] + thrown)
    for child in node.get("Plans", ()):
        yield from rows_read(child)


async def test_a_page_reads_as_much_of_many_activities_as_of_few(
    runtime: Runtime, client: Client, story: Any, hear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    columns = [column.name for column in Task.__table__.columns if column.computed is None]
    read, buffers = {}, {}
    leads = {count: story() for count in (FEW, MANY)}
    await hear(*(lead.tell(LeadCreated) for lead in leads.values()))
    for count, lead in leads.items():
        body = {"subject": "Call", "regarding": {"type": "lead", "id": str(lead.id)}}
        made = await client.post("/api/v1/tasks", body)
        assert made.status == 201, made.body
        changed = {"id": "gen_random_uuid()", "created_at": "t.created_at - n * interval '1 minute'"}
        values = ", ".join(changed.get(name, f't."{name}"') for name in columns)
        named = ", ".join(f'"{name}"' for name in columns)
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql(COPIES.format(columns=named, values=values, count=count, id=made.json["id"]))
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("analyze task")
    for count, lead in leads.items():
        answer = await client.get(f"/api/v1/timeline?regarding={lead.id}")
        assert len(answer.json["items"]) == 50
        plan = await asked.plan(runtime)
        read[count] = sum(rows_read(plan))
        buffers[count] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert read[MANY] <= 2 * read[FEW], (read, buffers)
    assert buffers[MANY] <= 2 * buffers[FEW], (read, buffers)
