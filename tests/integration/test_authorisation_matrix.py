"""Access to every route about one record, read from OpenAPI, for every depth and every kind of owner."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import Entity, all_entities
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.record import OwnedRecord
from crm_kit.testing import Answer, Client, People, grants, principal
from crm_kit.testing.figures import Figures
from tests.integration.abroad import hear_of_what_examples_refer_to
from tests.integration.bodies import body_of

ONE_RECORD = re.compile(r"/api/v1/(?P<collection>[a-z-]+)/\{[a-z_]+\}(/[a-z-]+)?")
REACH = {
    "own": Depth.USER,
    "team": Depth.USER,
    "unit": Depth.BUSINESS_UNIT,
    "child unit": Depth.DEEP,
    "other": Depth.ORGANIZATION,
}
"""The smallest depth that covers a row of each kind of owner."""

Clients = Callable[[Principal | None], Client]


OF_RECORDS = frozenset({"attachment"})
"""Entities that have the rights of the record to which they belong. Their own tests show that."""


@dataclass(frozen=True)
class Door:
    """An operation on one record."""

    method: str
    path: str
    body: Any

    async def knock(self, client: Client, record_id: UUID) -> Answer:
        path = re.sub(r"\{[a-z_]+\}", str(record_id), self.path)
        headers = {"if-match": "*"} if self.method in ("PATCH", "DELETE") else {}
        return await client.request(self.method, path, json=self.body, headers=headers)


@dataclass(frozen=True)
class House:
    """The users, and one record of each kind."""

    me: UUID
    team: UUID
    unit: UUID
    records: dict[str, UUID]

    def caller(self, entity: Entity, digits: str, others: Depth = Depth.NONE) -> Principal:
        """The caller, with these privileges on one entity and another depth on all others."""
        held = grants(others, **{entity.name: digits})
        return principal(id=self.me, unit=self.unit, teams=(self.team,), privileges=held)


def doors(document: dict[str, Any], entity: Entity) -> Iterator[Door]:
    for path, methods in document["paths"].items():
        match = ONE_RECORD.fullmatch(path)
        if match and match["collection"] == entity.collection:
            if path.endswith("/document"):
                continue  # It needs a storage for files. The tests of letters show its rights.
            for method, operation in methods.items():
                yield Door(method.upper(), path, body_of(document, operation))


def owned_entities(service: Service) -> list[Entity]:
    names = {entity.entity() for entity in service.entities if issubclass(entity, OwnedRecord)} - OF_RECORDS
    return [entity for entity in all_entities() if entity.service == service.name and entity.name in names]


async def furnish(client_for: Clients, people: People, document: dict[str, Any], entity: Entity) -> House:
    """Create one record of each kind of owner through the API, as those owners."""
    top = await people.unit("Top")
    unit = await people.unit("Mine", parent=top)
    child = await people.unit("Below", parent=await people.unit("Between", parent=unit))
    other = await people.unit("Elsewhere", parent=top)
    team = await people.team("The team", unit=other)
    me = await people.user("Me", unit=unit)
    body = body_of(document, document["paths"][f"/api/v1/{entity.collection}"]["post"])
    records = {}
    owners = {
        "own": (me, unit),
        "team": (None, other),
        "unit": (None, unit),
        "child unit": (None, child),
        "other": (None, other),
    }
    for kind, (owner, at) in owners.items():
        id_ = owner or await people.user(kind, unit=at)
        maker = client_for(principal(id=id_, unit=at))
        made = await maker.post(f"/api/v1/{entity.collection}", body)
        assert made.status == 201, made.body
        records[kind] = UUID(made.json["id"])
        if kind == "team":
            given = await maker.post(f"{made.headers['location']}/assign", {"owner_type": "team", "owner_id": team})
            assert given.status == 200, given.body
    return House(me, team, unit, records)


@pytest.fixture(autouse=True)
async def examples_work(app: FastAPI, runtime: Runtime) -> None:
    """The service knows the foreign records in the examples."""
    await hear_of_what_examples_refer_to(app)


def but_its_place(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name not in ("instance", "trace_id")}


COPYING = "/copy"
"""Commands that create another record and do not change this one. Whoever may read it and create records may run them."""


async def versions(runtime: Runtime, entity: Entity) -> dict[UUID, int]:
    async with runtime.db.autocommit() as conn:
        rows: list[Any] = list(await conn.exec_driver_sql(f'select id, version from "{entity.name}"'))
    return {row[0]: row[1] for row in rows}


async def test_nobody_gets_to_a_record_that_no_privilege_reaches(
    runtime: Runtime, client_for: Clients, people: People, service: Service, app: FastAPI, figures: Figures
) -> None:
    await people.organization()
    document = app.openapi()
    leaks, tried = [], 0
    for entity in owned_entities(service):
        house = await furnish(client_for, people, document, entity)
        before = await versions(runtime, entity)
        found = list(doors(document, entity))
        assert {door.method for door in found} >= {"GET", "PATCH", "DELETE", "POST"}
        for depth in Depth:
            foreign = {kind: record for kind, record in house.records.items() if depth < REACH[kind]}
            blind = client_for(house.caller(entity, str(int(depth)) * 5))
            reader = client_for(house.caller(entity, f"{int(depth)}4" + str(int(depth)) * 3))
            for door in found:
                missing = await door.knock(blind, uuid4())
                for kind, record in foreign.items():
                    answer = await door.knock(blind, record)
                    tried += 1
                    expected = 403 if depth is Depth.NONE else 404
                    if answer.status != expected or but_its_place(answer) != but_its_place(missing):
                        leaks.append((door.method, door.path, depth.name, kind, answer.status, answer.body[:200]))
                    if door.method != "GET" and not door.path.endswith(COPYING):
                        seen = await door.knock(reader, record)
                        tried += 1
                        if seen.status != 403:
                            leaks.append(
                                (door.method, door.path, f"reads all, {depth.name}", kind, seen.status, seen.body[:200])
                            )
        after = await versions(runtime, entity)
        assert {record: after.get(record) for record in before} == before
    figures(doors=tried, leaks=len(leaks))
    assert leaks == []


async def test_every_door_opens_to_whoever_the_privilege_reaches(
    client_for: Clients, people: People, service: Service, app: FastAPI
) -> None:
    await people.organization()
    document = app.openapi()
    closed = []
    for entity in owned_entities(service):
        for depth in [depth for depth in Depth if depth is not Depth.NONE]:
            house = await furnish(client_for, people, document, entity)
            client = client_for(house.caller(entity, str(int(depth)) * 5, Depth.ORGANIZATION))
            near = {kind: record for kind, record in house.records.items() if depth >= REACH[kind]}
            ids = ",".join(map(str, house.records.values()))
            listed = await client.get(f"/api/v1/{entity.collection}?limit=200&id[in]={ids}")
            queried = await client.post(f"/api/v1/{entity.collection}/query", {"limit": 200})
            for page in (listed, queried):
                shown = {UUID(item["id"]) for item in page.json["items"]} & set(house.records.values())
                assert shown == set(near.values()), (entity.name, depth.name)
            # Deletes come last, because they remove the record that the other operations need.
            for door in sorted(doors(document, entity), key=lambda door: door.method == "DELETE"):
                for kind, record in near.items():
                    answer = await door.knock(client, record)
                    if answer.status in (401, 403, 404) or answer.status >= 500:
                        closed.append((door.method, door.path, depth.name, kind, answer.status, answer.body[:200]))
    assert closed == []


@pytest.mark.parametrize("depth", [Depth.USER, Depth.BUSINESS_UNIT, Depth.DEEP])
async def test_what_belongs_to_the_organisation_needs_its_depth(
    client_for: Clients, service: Service, app: FastAPI, depth: Depth
) -> None:
    document, leaks = app.openapi(), []
    names = {entity.entity() for entity in service.entities if not issubclass(entity, OwnedRecord)}
    for entity in [entity for entity in all_entities() if entity.service == service.name and entity.name in names]:
        if f"/api/v1/{entity.collection}/query" not in document["paths"]:
            continue
        everything = await client_for(principal()).get(f"/api/v1/{entity.collection}?limit=1")
        near = client_for(principal(privileges=grants(Depth.NONE, **{entity.name: depth})))
        assert (await near.get(f"/api/v1/{entity.collection}")).json["items"] == []
        for item in everything.json["items"]:
            for door in doors(document, entity):
                answer = await door.knock(near, UUID(item["id"]))
                if answer.status not in (403, 404):
                    leaks.append((door.method, door.path, answer.status, answer.body[:200]))
    assert leaks == []
