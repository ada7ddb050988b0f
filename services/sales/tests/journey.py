"""A short client of sales, so that tests read like the story that they tell."""

from dataclasses import dataclass
from typing import Any

from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, announced

API = "/api/v1"
Json = dict[str, Any]


def euros(amount: str) -> Json:
    """Money in base currency."""
    return {"amount": amount, "currency": "EUR"}


ADA = {
    "topic": "Gold card",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "company_name": "Analytical Engines Ltd",
    "email": "ada@example.org",
    "estimated_value": euros("1200.00"),
}


@dataclass(frozen=True, slots=True)
class Sales:
    """A client of one caller. ``make`` and ``act`` require success; ``try_*`` return any answer."""

    client: Client
    runtime: Runtime

    async def make(self, collection: str, **fields: Any) -> Json:
        """Create a record."""
        return _expect(201, await self.try_make(collection, **fields))

    async def try_make(self, collection: str, **fields: Any) -> Answer:
        return await self.client.post(f"{API}/{collection}", fields)

    async def act(self, collection: str, record: Json, command: str, **body: Any) -> Json:
        """Run a command. Without fields it is sent without a body."""
        return _expect(200, await self.try_act(collection, record, command, **body))

    async def try_act(self, collection: str, record: Json, command: str, **body: Any) -> Answer:
        return await self.client.post(f"{API}/{collection}/{record['id']}/{command}", body or None)

    async def patch(self, collection: str, record: Json, **fields: Any) -> Json:
        """Change fields without a version condition."""
        return _expect(200, await self.try_patch(collection, record, **fields))

    async def try_patch(self, collection: str, record: Json, **fields: Any) -> Answer:
        return await self.client.patch(f"{API}/{collection}/{record['id']}", fields)

    async def delete(self, collection: str, record: Json) -> Answer:
        return await self.client.delete(f"{API}/{collection}/{record['id']}")

    async def merge(self, collection: str, loser: Json, survivor: Json, **body: Any) -> Json:
        """Merge one record into another. Return the survivor."""
        return await self.act(collection, loser, "merge", into=survivor["id"], **body)

    async def try_merge(self, collection: str, loser: Json, survivor: Json, **body: Any) -> Answer:
        return await self.try_act(collection, loser, "merge", into=survivor["id"], **body)

    async def get(self, collection: str, record_id: str) -> Json:
        """Return the current record."""
        return _expect(200, await self.client.get(f"{API}/{collection}/{record_id}"))

    async def page(self, collection: str, query: str = "") -> list[Json]:
        """Return the items of the first page."""
        found: list[Json] = _expect(200, await self.client.get(f"{API}/{collection}?{query}"))["items"]
        return found

    async def make_customers_on_win(self) -> None:
        """Change the setting."""
        _expect(200, await self.client.patch(f"{API}/settings/sales", {"customer_creation": "on_win"}))

    async def events(self) -> list[Json]:
        """Return every committed event in order."""
        async with self.runtime.db.autocommit() as conn:
            return await announced(conn)

    async def facts(self, *, after: int = 0) -> list[str]:
        """Return entity and fact of the committed events after the first ``after``: ``lead.qualified``."""
        return [".".join(event["type"].split(".")[2:4]) for event in (await self.events())[after:]]


def _expect(status: int, answer: Answer) -> Json:
    assert answer.status == status, answer.body
    record: Json = answer.json
    return record
