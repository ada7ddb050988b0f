"""The name of a record that a caller may not read is hidden wherever another record refers to it.

For each service: a seller makes one record of each kind that refers to an account. The account is then assigned to
another owner and renamed. No later answer about the seller's record contains a name of the account.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

import orjson
import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import entity_for
from crm_contracts.sales.account import ACCOUNT, AccountAssigned, AccountCreated
from crm_contracts.samples import sample
from crm_contracts.types import HiddenRef, Ref
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import PRINCIPALS, Runtime, Service
from crm_kit.store.presenter import Presenter, presenter_of
from crm_kit.store.record import Record
from crm_kit.testing import Answer, Client, People, counted, principal
from tests.integration.abroad import hear_of_what_examples_refer_to
from tests.integration.bodies import body_of

API = "/api/v1"
BEFORE, AFTERWARDS = "Analytical Engines", "Project Nightingale"
Clients = Callable[[Principal | None], Client]
NAMES_OF_PRINCIPALS = frozenset({"assigned_to", "goal_owner"})
FIXED = frozenset({("note", "regarding")})
"""What a record refers to from the beginning to the end."""


class Accounts(Protocol):
    """Where a service gets its accounts from."""

    async def make(self, owner: UUID) -> UUID: ...

    async def take_away(self, account_id: UUID, new_owner: UUID) -> None: ...


@dataclass
class OwnAccounts:
    """Sales has accounts itself."""

    client_for: Clients

    async def make(self, owner: UUID) -> UUID:
        made = await self.client_for(principal(id=owner)).post(f"{API}/accounts", {"name": BEFORE})
        assert made.status == 201, made.body
        return UUID(made.json["id"])

    async def take_away(self, account_id: UUID, new_owner: UUID) -> None:
        administrator, path = self.client_for(principal()), f"{API}/accounts/{account_id}"
        renamed = await administrator.patch(path, {"name": AFTERWARDS})
        given = await administrator.post(f"{path}/assign", {"owner_type": "user", "owner_id": str(new_owner)})
        assert (renamed.status, given.status) == (200, 200), (renamed.body, given.body)


@dataclass
class HeardAccounts:
    """All other services receive the events of sales."""

    app: FastAPI

    async def make(self, owner: UUID) -> UUID:
        account_id = uuid4()
        await self._hear(AccountCreated, account_id, 1, owner, BEFORE)
        return account_id

    async def take_away(self, account_id: UUID, new_owner: UUID) -> None:
        await self._hear(AccountAssigned, account_id, 2, new_owner, AFTERWARDS)

    async def _hear(self, event: Any, account_id: UUID, version: int, owner: UUID, name: str) -> None:
        consumers: Consumers = self.app.state.groups
        document = sample(event)
        document |= {"id": str(uuid4()), "subject": str(account_id), "entityversion": version, "ownerid": str(owner)}
        changes = {"id": str(account_id), "version": version, "name": name, "owner_id": str(owner), "status": "active"}
        document["data"]["record"] |= changes
        bound = {(group.name, source): clock.now() for group, source in consumers.sources()}
        await Dispatcher(consumers, self.app.state.runtime, bound).settle([Message.read(orjson.dumps(document))])


@pytest.fixture
def accounts(service: Service, app: FastAPI, client_for: Clients) -> Accounts:
    return OwnAccounts(client_for) if service.name == ACCOUNT.service else HeardAccounts(app)


def referring(service: Service) -> list[type[Record]]:
    """Entities that show the names of others.

    Users, teams and API clients are excluded: everybody may know their names.
    """
    return [entity for entity in service.entities if any(_fields(presenter_of(entity)))]


def _fields(presenter: Presenter) -> Iterator[str]:
    yield from (one.field for one in presenter.references if one.field not in NAMES_OF_PRINCIPALS)
    yield from presenter.parts


def body_about(document: dict[str, Any], entity: type[Record], account_id: UUID) -> dict[str, Any]:
    """Return a new record of this kind that refers to the account in every field that can."""
    known = entity_for(entity.entity())
    assert known is not None
    body: dict[str, Any] = dict(body_of(document, document["paths"][f"{API}/{known.collection}"]["post"]))
    ref, presenter = {"type": "account", "id": str(account_id)}, presenter_of(entity)
    for one in presenter.references:
        body[one.field] = ref
    for field, member in presenter.parts.items():
        role = "required" if "appointment" in entity.entity() else "to"
        address = {"address": "ada@example.org"} if entity.entity() == "email" else {}
        body[field] = [{"role": role, member: ref, **address}]
    return body


async def test_a_name_is_for_who_may_read_the_record(
    service: Service, app: FastAPI, client_for: Clients, people: People, runtime: Runtime, accounts: Accounts
) -> None:
    await people.organization()
    await hear_of_what_examples_refer_to(app)
    document = app.openapi()
    for entity in referring(service):
        seller, other = await people.user("Sally"), await people.user("Otto")
        client = client_for(principal(id=seller, account=Depth.USER))
        known = entity_for(entity.entity())
        assert known is not None
        if body_of(document, document["paths"][f"{API}/{known.collection}"]["post"]) is None:
            continue  # A file is no JSON, and has the rights of its record.
        account_id, collection = await accounts.make(seller), f"{API}/{known.collection}"
        made = await client.post(collection, body_about(document, entity, account_id))
        assert made.status == 201, (entity.entity(), made.body)
        path = f"{collection}/{made.json['id']}"
        assert _names(entity, made) == {BEFORE}
        listed = f"{collection}?id={made.json['id']}"
        with counted(runtime.db) as before:
            assert BEFORE.encode() in (await client.get(listed)).body
        first = await client.get(path)
        unchanged = await client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (_names(entity, first), unchanged.status) == ({BEFORE}, 304)

        await accounts.take_away(account_id, other)
        # This does not wait for moves of references. The version tells whether the record changed.
        again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status, again.headers["etag"]) == (200, first.headers["etag"]), entity.entity()
        with counted(runtime.db) as after:
            page = await client.get(listed)
        assert len(after) == len(before), (before, after)
        back = {
            field: again.json[field] for field in _fields(presenter_of(entity)) if (entity.entity(), field) not in FIXED
        }
        answers = [
            again,
            page,
            await client.post(f"{collection}/query", {"filter": {"field": "id", "op": "eq", "value": made.json["id"]}}),
            await client.get(f"{path}/history"),
            # What was read can be sent back, and changes nothing: neither the reference nor the name that others see.
            await client.patch(path, back),
            await client.post(f"{path}/assign", {"owner_type": "user", "owner_id": str(seller)}),
        ]
        for answer in answers:
            assert answer.status == 200, (entity.entity(), answer.body)
            assert BEFORE.encode() not in answer.body, (entity.entity(), answer.body)
            assert AFTERWARDS.encode() not in answer.body, (entity.entity(), answer.body)
            assert b'"hidden":true' in answer.body, (entity.entity(), answer.body)
        assert _names(entity, again) == {None}
        assert answers[4].headers["etag"] == first.headers["etag"]
        reader = client_for(principal(id=other, account=Depth.USER))
        assert _names(entity, await reader.get(path)) <= {BEFORE, AFTERWARDS}
        assert b"hidden" not in (await reader.get(path)).body
        history = (await reader.get(f"{path}/history")).body
        assert BEFORE.encode() in history


def _names(entity: type[Record], answer: Answer) -> set[str | None]:
    presenter, record = presenter_of(entity), answer.json
    names = {record[one.field]["name"] for one in presenter.references}
    for field, member in presenter.parts.items():
        names |= {part[member]["name"] for part in record[field]} | {part["name"] for part in record[field]}
    return names


async def test_the_document_says_of_every_reference_that_it_may_be_hidden(service: Service, app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    hidden = {name for name, schema in schemas.items() if "hidden" in schema.get("properties", {})}
    refs = {name for name, schema in schemas.items() if set(Ref.model_fields) <= schema.get("properties", {}).keys()}
    told = set(HiddenRef.model_fields) - {"type"}
    assert {name for name in hidden & refs if told <= schemas[name]["properties"].keys()} == hidden & refs
    shown = refs - hidden
    for name, schema in schemas.items():
        if name.endswith(("Read", "TimelineItem")):
            for field, described in schema["properties"].items():
                choices = {one.get("$ref", "").rpartition("/")[2] for one in described.get("anyOf", [described])}
                kinds = {schemas[one]["properties"]["type"].get("enum", [""])[0] for one in choices & shown}
                if kinds and not kinds <= PRINCIPALS:
                    assert choices & hidden, (name, field)
