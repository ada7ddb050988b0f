"""Malicious requests: injection, bodies that are too large or too deep, and fields that callers may not set."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from fastapi import FastAPI

from crm_identity.business_unit.model import ROOT_ID
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.http.problems import status_of
from crm_kit.testing import Answer, Client, People, principal
from tests.conftest import PACKAGES, service_of
from tests.integration.abroad import hear_of_what_examples_refer_to
from tests.integration.bodies import body_of

INJECTIONS = {
    "quote": "' or '1'='1",
    "statement": "x'; drop table lead; --",
    "union": "1) union select null, version() --",
    "sleep": "1; select pg_sleep(5)",
    "wildcards": "%_\\",
    "backslash": "\\'\\",
    "placeholder": "$1 %s :name {0} ?",
    "template": "{{7*7}} ${7*7} <%= 7*7 %>",
    "script": "<script>alert(1)</script>",
    "path": "../../etc/passwd",
    "control": "a\x01b\x7f\r\nset-cookie: a=b",
    "nul": "a\x00b",
    "right to left": "\u202egnp.exe",
    "long": "a" * 5000,
}
PROTECTED = {"id": str(uuid4()), "owner_id": str(uuid4()), "version": 7, "status": "won"}
T = TypeVar("T")
MEMBERS = {"type", "title", "status", "detail", "instance", "trace_id"}


@dataclass(frozen=True)
class Create:
    """An operation that creates a record, and a body for it."""

    path: str
    body: dict[str, Any]


@pytest.fixture(scope="session", params=[name for name in PACKAGES if service_of(name).entities])
def package(request: pytest.FixtureRequest) -> str:
    """Each service that has records in turn."""
    name: str = request.param
    return name


@pytest.fixture
def creates(app: FastAPI) -> list[Create]:
    """Return every create route of the service."""
    document = app.openapi()
    found = [
        Create(path, body)
        for path, methods in document["paths"].items()
        if "{" not in path and "201" in methods.get("post", {}).get("responses", {})
        # A file is no JSON.
        if (body := body_of(document, methods["post"])) is not None
    ]
    assert found
    return found


@pytest.fixture
def collections(app: FastAPI) -> list[str]:
    """Return every collection of the service that can be queried."""
    found = [path.removesuffix("/query") for path in app.openapi()["paths"] if path.endswith("/query")]
    assert found
    return found


@pytest.fixture
def caller() -> Principal:
    """A caller with all rights in the root unit, which identity requires to exist."""
    return principal(unit=ROOT_ID)


@pytest.fixture(autouse=True)
async def surroundings(people: People, app: FastAPI) -> None:
    """Insert what records need: the organisation, and records of other services."""
    await people.organization()
    await hear_of_what_examples_refer_to(app)


def oddness(answer: Answer, *expected: int) -> str | None:
    """Return what is wrong with an answer; None for an expected status with a complete problem document if one is due."""
    if answer.status not in expected:
        return f"{answer.status}: {answer.body[:300]!r}"
    if answer.status < 400:
        return None
    if answer.headers.get("content-type") != "application/problem+json":
        return f"{answer.status} as {answer.headers.get('content-type')}"
    if not answer.json.keys() >= MEMBERS or {answer.json["status"], status_of(answer.problem)} != {answer.status}:
        return f"{answer.status} with {answer.body[:300]!r}"
    return None


def texts(body: dict[str, Any]) -> Iterator[str]:
    return (name for name, value in body.items() if isinstance(value, str))


PLACES = ("q", "sort", "fields", "after", "limit", "count", "id", "id[in]", "created_at[gte]", "name", None)
"""Where a list accepts text: the value of a parameter, or its name (None)."""


def spread(collections: list[str], places: Sequence[T]) -> Iterator[tuple[str, str, str, T]]:
    """Return (collection, kind, text, place).

    The first collection gets every text in every place. Each other one gets every text once, and together they cover
    every place. Requests are read by one function of the kit, not per collection.
    """
    for number, collection in enumerate(collections):
        for at, (kind, text) in enumerate(INJECTIONS.items()):
            for place in places if number == 0 else [places[(at + number) % len(places)]]:
                yield collection, kind, text, place


async def test_injected_text_is_kept_as_it_is_or_refused(client: Client, creates: list[Create]) -> None:
    wrong, kept = [], 0
    for create in creates:
        for kind, text in INJECTIONS.items():
            for name in texts(create.body):
                answer = await client.post(create.path, create.body | {name: text})
                if odd := oddness(answer, 201, 409, 422):
                    wrong.append((create.path, name, kind, odd))
                if answer.status == 201:
                    kept += 1
                    read = await client.get(answer.headers["location"])
                    # The body of a mail is not part of its record, and its HTML is cleaned.
                    if read.status != 200 or read.json.get(name, text) not in (text, text.strip()):
                        wrong.append((create.path, name, kind, f"read back as {read.body[:300]!r}"))
    assert wrong == []
    assert kept > 0


async def test_injected_text_in_a_list_selects_nothing_more(
    client: Client, creates: list[Create], collections: list[str]
) -> None:
    wrong = []
    for create in creates:
        assert (await client.post(create.path, create.body)).status == 201, create.path
    everything = {
        collection: (await client.get(f"{collection}?count=exact&limit=200")).json["count"]
        for collection in collections
    }
    for collection, kind, text, place in spread(collections, PLACES):
        name = text if place is None else place
        answer = await client.get(f"{collection}?{urlencode({name: text})}")
        odd = oddness(answer, 200, 400)
        if not odd and answer.status == 200 and everything[collection] and name != "fields":
            found = answer.json["items"]
            odd = f"{len(found)} found" if len(found) >= everything[collection] else None
        if odd:
            wrong.append((collection, name, kind, odd))
    assert wrong == []


QUERIES: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda text: {"filter": {"all": [{"field": text, "op": "eq", "value": 1}]}},
    lambda text: {"filter": {"all": [{"field": "id", "op": text, "value": 1}]}},
    lambda text: {"filter": {"any": [{"field": "id", "op": "in", "value": [text]}]}},
    lambda text: {"filter": {"not": {"field": "created_at", "op": "gte", "value": text}}},
    lambda text: {"sort": text},
    lambda text: {"after": text},
    lambda text: {text: text},
)


async def test_injected_text_in_a_query_is_a_value_or_refused(client: Client, collections: list[str]) -> None:
    wrong = []
    for collection, kind, text, query in spread(collections, QUERIES):
        body = query(text)
        if odd := oddness(await client.post(f"{collection}/query", body), 400, 422):
            wrong.append((collection, body, kind, odd))
    assert wrong == []


async def test_injected_ids_and_headers_find_nothing(client: Client, collections: list[str]) -> None:
    wrong = []
    for collection, kind, text, method in spread(collections, ("GET", "PATCH", "DELETE")):
        empty: dict[str, Any] | None = {} if method == "PATCH" else None
        place = f"{collection}/{quote(text, safe='')}"
        answer = await client.request(method, place, json=empty, headers={"if-match": "*"})
        # 405: records of this kind cannot be changed or deleted. 400: the path itself is malformed.
        if odd := oddness(answer, 400, 404, 405):
            wrong.append((method, collection, kind, odd))
    for collection, kind, text, header in spread(collections, ("if-match", "crm-after", "crm-deadline-ms")):
        if text.isprintable() and text.isascii():
            answer = await client.request("PATCH", f"{collection}/{uuid4()}", json={}, headers={header: text})
            if odd := oddness(answer, 400, 404, 405, 428):
                wrong.append((header, collection, kind, odd))
    assert wrong == []


async def test_a_body_too_large_is_refused_announced_or_not(
    client: Client, creates: list[Create], settings: Settings
) -> None:
    size = settings.max_body_bytes + 1

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(size // 65536 + 1):
            yield b" " * 65536

    wrong = []
    for create in creates:
        for body in (b" " * size, streamed()):
            answer = await client.post(create.path, body=body, headers={"content-type": "application/json"})
            if odd := oddness(answer, 413):
                wrong.append((create.path, odd))
    assert wrong == []


async def test_json_too_deep_is_refused(client: Client, creates: list[Create], settings: Settings) -> None:
    wrong = []
    for create in creates:
        for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
            for depth in (settings.json_depth + 1, 100_000):
                body = opening * depth + b"1" + closing * depth
                answer = await client.post(create.path, body=body, headers={"content-type": "application/json"})
                if odd := oddness(answer, 400):
                    wrong.append((create.path, opening, depth, odd))
    assert wrong == []


@pytest.mark.parametrize("name", PROTECTED)
async def test_a_create_sets_no_field_of_the_system(client: Client, creates: list[Create], name: str) -> None:
    wrong = []
    for create in creates:
        answer = await client.post(create.path, create.body | {name: PROTECTED[name]})
        odd = oddness(answer, 422)
        if odd or answer.problem != "read-only-field" or [e["pointer"] for e in answer.json["errors"]] != [f"/{name}"]:
            wrong.append((create.path, odd or answer.body[:300]))
    assert wrong == []


async def test_a_path_names_its_methods_to_whoever_tries_another(client: Client, app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    wrong = []
    for path in paths:
        place = re.sub(r"\{[^}]+\}", str(uuid4()), path)
        offered = {
            method.upper()
            for other, methods in paths.items()
            if re.fullmatch(re.sub(r"\\{[^}]+\\}", "[0-9a-f-]{36}", re.escape(other)), place)
            for method in methods
        }
        offered |= {"HEAD"} if "GET" in offered else set()
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - offered:
            answer = await client.request(method, place)
            odd = oddness(answer, 405)
            if odd or set(answer.headers["allow"].split(", ")) != offered:
                wrong.append((method, path, odd or answer.headers["allow"]))
    assert wrong == []
