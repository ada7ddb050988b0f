"""References in bodies must exist and be readable to the caller, in every create, patch and command of every service.

The sweep reads the OpenAPI document. Each field of a body that is an id, a list of ids or a reference is sent with an
unknown id, and with the id of a record that the caller may not read. Both give 422 with a pointer to the field.
"""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from crm_contracts.access import Depth
from crm_contracts.catalogue import Entity, all_entities, entity_for
from crm_identity.business_unit.model import ROOT_ID
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.process.runtime import Service
from crm_kit.testing import Answer, Client, People, grants, principal
from crm_kit.testing.figures import Figures
from tests.integration.abroad import SAMPLE_OWNER, hear_of_what_examples_refer_to, snapshot
from tests.integration.bodies import body_of, example

Clients = Callable[[Principal | None], Client]
Json = dict[str, Any]

API = "/api/v1"
DOOR = re.compile(r"/api/v1/(?P<collection>[a-z-]+)(?P<one>/\{[a-z_]+\}(/[a-z-]+)?)?")
OWN_PARTS = frozenset({"id", "line_id"})
"""Lines of the record itself, which no other record has."""
KNOWN_TO_ALL = frozenset({"owner", "user", "team", "goal_owner", "business_unit", "role", "stage"})
"""Kinds that everybody who may write a record can refer to. What a role or team would grant is compared with the rights
of the caller."""
KINDS = {
    "reply_to": "email",
    "into": "",
    "parent": "",
    "parent_account": "account",
    "primary_contact": "contact",
    "parent_goal": "goal",
}
KINDS |= {"originating_lead": "lead", "regarding": "lead"}


@dataclass(frozen=True)
class Place:
    """A field of a body that refers to a record."""

    method: str
    path: str
    schema: Json
    field: tuple[str, ...]
    kind: str
    typed: bool

    def body(self, document: Json, record_id: UUID) -> Json:
        """Return the body of the operation with a reference to this record."""
        creates = self.method == "POST" and "{" not in self.path
        body = copy.deepcopy(example(document, self.schema) if creates else _least(document, self.schema))
        value: Any = {"type": self.kind, "id": str(record_id)} if self.typed else str(record_id)
        if self.path.endswith("/qualify"):
            # Every example is the same person.
            body["allow_duplicates"] = True
        inner = body
        for step, following in zip(self.field, (*self.field[1:], ""), strict=True):
            if following == "[]":
                part = self.field[self.field.index("[]") + 1 :]
                more = (PARTIES.get(self.path.split("/")[3]) if step == "parties" else None) or (
                    PARTS[step] if part else {}
                )
                inner[step] = [value] if not part else [{**more, part[0]: value}]
                break
            inner[step] = value
        return body


WITHOUT = frozenset({"gateway", "insights"})
"""Services that take no bodies with references."""
PARTS: dict[str, Json] = {"parties": {"role": "to"}, "lines": {"quantity": "1"}}
"""The other required members of an object with a reference."""
PARTIES: dict[str, Json] = {
    "appointments": {"role": "required"},
    "recurring-appointments": {"role": "required"},
    "emails": {"role": "to", "address": "ada@example.org"},
    "email-templates": {"role": "to", "address": "ada@example.org"},
}
"""Those of a party, where they differ."""


def _resolved(document: Json, schema: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _least(document: Json, schema: Json) -> Json:
    """Return the required members of the body."""
    found = _resolved(document, schema)
    return {name: example(document, found["properties"][name]) for name in found.get("required", ())}


def places(document: Json, entity: Entity) -> Iterator[Place]:
    """Return every reference in a body of this collection."""
    create = document["paths"].get(f"{API}/{entity.collection}", {}).get("post")
    if create is not None and body_of(document, create) is None:
        return  # A file is no JSON.
    for path, methods in document["paths"].items():
        match = DOOR.fullmatch(path)
        if not match or match["collection"] != entity.collection:
            continue
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = content["schema"]
            for field, kinds in sorted(set(_references(document, schema, (), frozenset()))):
                name = re.sub(r"_ids?$", "", [step for step in field if step != "[]"][-1])
                kind = kinds[0] if kinds else KINDS.get(name, name) or entity.name
                yield Place(method.upper(), path, schema, field, kind, kinds is not None)


Found = tuple[tuple[str, ...], tuple[str, ...] | None]


def _references(document: Json, schema: Json, at: tuple[str, ...], seen: frozenset[str]) -> Iterator[Found]:
    name = schema.get("$ref", "").rpartition("/")[2]
    if name in seen:
        return
    schema = _resolved(document, schema)
    seen = seen | {name} if name else seen
    for choice in (one for way in ("anyOf", "oneOf", "allOf") for one in schema.get(way, ())):
        yield from _references(document, choice, at, seen)
    properties = schema.get("properties", {})
    if {"type", "id"} <= properties.keys():
        yield at, tuple(properties["type"].get("enum", ("lead",)))
    elif at and at[-1] not in OWN_PARTS and schema.get("format") == "uuid":
        yield at, None
    else:
        for member, described in properties.items():
            if member not in OWN_PARTS:
                yield from _references(document, described, (*at, member), seen)
        yield from _references(document, schema.get("items", {}), (*at, "[]"), seen) if "items" in schema else ()


def refused(place: Place, answer: Answer) -> bool:
    if answer.status != 422 or answer.problem != "unknown-reference":
        return False
    return str(answer.json["errors"][0]["pointer"]).startswith(f"/{place.field[0]}")


@dataclass
class Attack:
    """The service, and how its callers send references."""

    app: FastAPI
    client_for: Clients
    document: Json

    async def send(self, place: Place, sender: Principal, entity: Entity, record_id: UUID) -> Answer:
        """Send the body, to a new record of the caller if the operation is about one."""
        client, path = self.client_for(sender), place.path
        if "{" in path:
            made = await self.make(entity, principal(id=sender.id, unit=sender.unit))
            path = re.sub(r"\{[a-z_]+\}", str(made), path)
        headers = {"if-match": "*"} if place.method == "PATCH" else {}
        return await client.request(place.method, path, json=place.body(self.document, record_id), headers=headers)

    async def make(self, entity: Entity, maker: Principal) -> UUID:
        """Create a record by the example of its collection."""
        path = f"{API}/{entity.collection}"
        body = dict(body_of(self.document, self.document["paths"][path]["post"]))
        if entity.name == "price_list_item":
            # A product has one price in a list.
            for kind in ("product", "price_list"):
                known = entity_for(kind)
                assert known is not None
                body[f"{kind}_id"] = str(await self.make(known, maker))
        if "business_unit_id" in body:
            body["business_unit_id"] = str(ROOT_ID)
        if "email" in body:
            body["email"] = f"{uuid4()}@example.org"
        if "name" in body:
            body["name"] = f"{body['name']} {uuid4()}"
        answer = await self.client_for(maker).post(path, body)
        assert answer.status == 201, (entity.name, answer.body)
        return UUID(answer.json["id"])

    async def hide(self, kind: str) -> UUID:
        """Return a record of another owner: created here, or received by events."""
        entity, consumers = entity_for(kind), self.app.state.groups
        assert entity is not None, kind
        if f"{API}/{entity.collection}" in self.document["paths"]:
            return await self.make(entity, principal(unit=ROOT_ID))
        assert isinstance(consumers, Consumers)
        assert consumers.following(entity.service, entity.name), f"nobody here hears of a {kind}"
        record_id = uuid4()
        bound = {(group.name, source): clock.now() for group, source in consumers.sources()}
        await Dispatcher(consumers, self.app.state.runtime, bound).settle(
            [snapshot(entity, str(record_id), owner=uuid4())]
        )
        return record_id


@pytest.fixture
def attack(app: FastAPI, client_for: Clients) -> Attack:
    return Attack(app, client_for, app.openapi())


async def test_no_body_refers_to_what_is_not_there_or_not_to_be_seen(
    attack: Attack, service: Service, people: People, figures: Figures
) -> None:
    await people.organization()
    await people.user("Mallory", id=SAMPLE_OWNER)
    await hear_of_what_examples_refer_to(attack.app)
    accepted, tried = [], 0
    for entity in [entity for entity in all_entities() if entity.service == service.name]:
        for place in places(attack.document, entity):
            everything = principal(id=SAMPLE_OWNER, unit=ROOT_ID)
            answers = {"nothing": await attack.send(place, everything, entity, uuid4())}
            if place.kind not in KNOWN_TO_ALL:
                found = entity_for(place.kind)
                assert found is not None, place
                # The caller sees own records of entities with owners, and none of entities without.
                digits = "41111" if found.owned else "40400"
                blind = principal(
                    id=SAMPLE_OWNER, unit=ROOT_ID, privileges=grants(Depth.ORGANIZATION, **{place.kind: digits})
                )
                answers["hidden"] = await attack.send(place, blind, entity, await attack.hide(place.kind))
            tried += len(answers)
            for what, answer in answers.items():
                if not refused(place, answer):
                    accepted.append((what, place.method, place.path, place.field, answer.status, answer.body[:300]))
    figures(references=tried, accepted=len(accepted))
    assert tried or service.name in WITHOUT
    assert accepted == []
