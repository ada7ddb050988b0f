"""Events of customers, and a short client of cases, for tests."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from crm_contracts.catalogue import event_for
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Answer, Client, announced
from crm_kit.testing.people import HEADQUARTERS

CASES = "/api/v1/cases"
Json = dict[str, Any]


@dataclass
class Customer:
    """An account or contact of sales and its events, version by version."""

    type: str
    name: str
    owner: UUID = field(default_factory=new_id)
    unit: UUID = HEADQUARTERS
    id: UUID = field(default_factory=new_id)
    version: int = 0
    status: str = "active"

    @property
    def ref(self) -> Json:
        """The customer as a reference in a request."""
        return {"type": self.type, "id": str(self.id)}

    def created(self) -> Message:
        """Return its first event."""
        return self.tell("Created")

    def merged(self, survivor: "Customer") -> Message:
        """Return its last event."""
        return self.tell("Merged", survivor_id=str(survivor.id))

    def tell(self, fact: str, **facts: Any) -> Message:
        """Return the next event, such as ``Updated``, with the customer's current fields."""
        event = event_for(f"crm.sales.{self.type}.{fact.lower()}.v1")
        assert event is not None
        self.version += 1
        document = sample(event)
        document |= {"id": str(new_id()), "subject": str(self.id), "entityversion": self.version}
        document |= {"time": utc_text(clock.now()), "ownerid": str(self.owner), "businessunit": str(self.unit)}
        name = "name" if self.type == "account" else "full_name"
        document["data"]["record"] |= {
            "id": str(self.id),
            "version": self.version,
            "created_at": utc_text(clock.now()),
            "owner_id": str(self.owner),
            "business_unit_id": str(self.unit),
            "status": self.status,
            name: self.name,
        }
        document["data"] |= facts
        return Message.read(orjson.dumps(document))


def product(id: UUID, fact: str = "Created", version: int = 1) -> Message:
    """Return an event of a product of sales."""
    event = event_for(f"crm.sales.product.{fact.lower()}.v1")
    assert event is not None
    document = sample(event)
    document |= {"id": str(new_id()), "subject": str(id), "entityversion": version, "time": utc_text(clock.now())}
    document["data"]["record"] |= {"id": str(id), "version": version}
    return Message.read(orjson.dumps(document))


@dataclass(frozen=True, slots=True)
class Desk:
    """A client of one caller. ``open`` and ``act`` require success; ``try_*`` return any answer."""

    client: Client
    runtime: Runtime
    customer: Customer

    async def open(self, **fields: Any) -> Json:
        """Create a case."""
        return _expect(201, await self.try_open(**fields))

    async def try_open(self, **fields: Any) -> Answer:
        body = {"title": "The bill is wrong", "customer": self.customer.ref, **fields}
        return await self.client.post(CASES, body)

    async def act(self, case: Json, command: str, **body: Any) -> Json:
        """Run a command. Without fields it is sent without a body."""
        return _expect(200, await self.try_act(case, command, **body))

    async def try_act(self, case: Json, command: str, **body: Any) -> Answer:
        return await self.client.post(f"{CASES}/{case['id']}/{command}", body or None)

    async def patch(self, case: Json, **fields: Any) -> Json:
        """Change fields without a version condition."""
        return _expect(200, await self.try_patch(case, **fields))

    async def try_patch(self, case: Json, **fields: Any) -> Answer:
        return await self.client.patch(f"{CASES}/{case['id']}", fields)

    async def delete(self, case: Json) -> Answer:
        return await self.client.delete(f"{CASES}/{case['id']}")

    async def get(self, case: Json) -> Json:
        """Return the current case."""
        return _expect(200, await self.client.get(f"{CASES}/{case['id']}"))

    async def page(self, query: str = "") -> list[Json]:
        """Return the items of the first page."""
        found: list[Json] = _expect(200, await self.client.get(f"{CASES}?{query}"))["items"]
        return found

    async def events(self) -> list[Json]:
        """Return every committed event in order."""
        async with self.runtime.db.autocommit() as conn:
            return await announced(conn)


def _expect(status: int, answer: Answer) -> Json:
    assert answer.status == status, answer.body
    record: Json = answer.json
    return record
