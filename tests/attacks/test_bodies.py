"""Expensive bodies: none is read from a caller who may not send it, and none is parsed that no schema accepts."""

import asyncio
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from fastapi import FastAPI

from crm_contracts.access import Depth
from crm_kit.access.privileges import Principal
from crm_kit.errors import DomainError
from crm_kit.http.bodies import MAX_PARAMETERS
from crm_kit.http.bounded_json import MAX_ITEMS, MAX_MEMBERS, MAX_VALUES, parse_json
from crm_kit.http.openapi import routes_of
from crm_kit.http.problems import MAX_ERRORS
from crm_kit.http.requests import Route
from crm_kit.testing import Client, grants, principal

Clients = Callable[[Principal | None], Client]

FREE = {
    "change_password": "everybody changes their own password, and the body is two short texts",
    "create_calendar_feed": "everybody has a feed of their own, and the body is one id",
    "end_calendar_feed": "everybody ends their own feed, and the body is one id",
}
"""Routes with a caller and a body that require no privilege on an entity."""


def with_bodies(app: FastAPI) -> list[Route]:
    """Return the routes of an app that need a caller and accept a body."""
    return [route for route in routes_of(app).values() if isinstance(route, Route) and route.body_field is not None]


def creates(app: FastAPI) -> list[Route]:
    """Return routes that create a record. All services read bodies by the kit, so a few of them suffice."""
    found = [route for route in with_bodies(app) if route.methods == {"POST"} and "/" not in route.path[1:]]
    return [route for route in found if route.operation_id not in FREE]


def method_of(route: Route) -> str:
    [method] = route.methods or {"POST"}
    return method


def place_of(route: Route) -> str:
    return "/api/v1" + re.sub(r"\{[a-z_]+(:uuid)?\}", str(uuid4()), route.path)


def test_every_route_with_a_body_says_what_it_needs(app: FastAPI) -> None:
    silent = {route.operation_id for route in with_bodies(app) if route.needs is None}
    assert silent <= FREE.keys()


async def test_nobody_s_body_is_read_who_may_not_send_it(client_for: Clients, app: FastAPI) -> None:
    """The body never ends, so an answer can only come before it was read."""
    never = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"a": 1,'
        await never.wait()

    wrong = []
    nobody = client_for(principal(privileges={}))
    for route in with_bodies(app):
        if route.operation_id in FREE:
            continue
        method = method_of(route)
        for kind in ("application/json", "multipart/form-data; boundary=b"):
            headers = {"content-type": kind, "if-match": "*"}
            async with asyncio.timeout(120):
                answer = await nobody.request(method, place_of(route), body=endless(), headers=headers)
            if (answer.status, answer.problem) != (403, "forbidden"):
                wrong.append((route.operation_id, kind, answer.status, answer.body[:200]))
    assert wrong == []


async def test_without_a_token_it_is_401_first(client_for: Clients, app: FastAPI) -> None:
    stranger = client_for(None)
    for route in with_bodies(app)[:5]:
        method = method_of(route)
        assert (await stranger.request(method, place_of(route), body=b"{", headers={"if-match": "*"})).status == 401


async def test_who_holds_the_privilege_at_the_least_depth_is_heard(client_for: Clients, app: FastAPI) -> None:
    wrong = []
    for route in with_bodies(app):
        if route.needs is None:
            continue
        digits = "".join("1" if privilege is route.needs else "0" for privilege in type(route.needs))
        for name in route.entities:
            client = client_for(principal(privileges=grants(Depth.NONE, **{name: digits})))
            method = method_of(route)
            answer = await client.request(
                method, place_of(route), body=b"[1", headers={"content-type": "text/plain", "if-match": "*"}
            )
            if answer.status not in (400, 415, 422):
                wrong.append((route.operation_id, name, answer.status, answer.body[:200]))
    assert wrong == []


HUGE: dict[str, bytes] = {
    "unknown members": orjson.dumps({f"k{number}": 1 for number in range(90_000)}),
    "lines": orjson.dumps({"name": "a", "lines": [{"foo": 1}] * 90_000}),
    "members of lines": orjson.dumps({"lines": [{f"k{number}": 1 for number in range(200)}] * 400}),
    "empty arrays": b'{"a":[' + b",".join([b"[]"] * 300_000) + b"]}",
    "an array of numbers": b'{"a":[' + b",".join([b"1"] * 500_000) + b"]}",
    "an open text": b'{"a":"' + b'\\"' * 500_000,
    "commas": b"," * 1_000_000,
    "quotes": b'""' * 500_000 + b":,[" * 100,
}


@pytest.mark.parametrize("kind", HUGE)
async def test_what_no_schema_takes_is_refused_in_few_words(client: Client, app: FastAPI, kind: str) -> None:
    wrong = []
    for route in creates(app)[:2]:
        headers = {"content-type": "application/json"}
        for place in (place_of(route), f"{place_of(route)}/query"):
            answer = await client.post(place, body=HUGE[kind], headers=headers)
            if answer.status not in (400, 422) or len(answer.body) > 8192 or not answer.problem:
                wrong.append((route.operation_id, answer.status, len(answer.body), answer.body[:200]))
    assert wrong == []


def test_a_json_text_is_bounded_in_every_direction() -> None:
    refused: list[Any] = []
    many: tuple[Any, ...] = (
        {str(number): 1 for number in range(MAX_MEMBERS + 1)},
        {"a~/b": [1] * (MAX_ITEMS + 1)},
        [[[1] * 100] * 20 for _ in range(MAX_VALUES // 1900)],
    )
    for value in many:
        with pytest.raises(DomainError) as caught:
            parse_json(orjson.dumps(value), 32)
        refused.append((caught.value.slug, caught.value.errors[0].pointer, caught.value.members["limit"]))
    assert refused == [
        ("validation", "", MAX_MEMBERS),
        ("validation", "/a~0~1b", MAX_ITEMS),
        ("validation", "", MAX_VALUES),
    ]
    enough: tuple[Any, ...] = (
        {str(number): {"a": [1] * 50} for number in range(MAX_MEMBERS)},
        [1] * MAX_ITEMS,
        {"text": ',:[{}]"\\' * 50_000},
        ["[" * 100, "]" * 100] * 100,
        [{"deal": {"lines": [{"price": {"amount": "1.00", "currency": "EUR"}}]}}] * 500,
    )
    for value in enough:
        assert parse_json(orjson.dumps(value), 32) == value


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"[":'])
def test_depth_is_counted_outside_of_texts(opening: bytes) -> None:
    for depth, text in ((32, b'"[{[{"'), (33, b"1")):
        closing = b"]" if opening == b"[" else b"}"
        body = opening * depth + text + closing * depth
        if depth == 32:
            parse_json(body, 32)
        else:
            with pytest.raises(DomainError, match="at most 32 levels"):
                parse_json(body, 32)


@pytest.mark.parametrize(
    "body",
    [
        b'{"title":[' + b"{}," * 200_000 + b"{}]}",
        b"[" + b"{}," * 300_000 + b"{}]",
        b"[" + b'"",' * 300_000 + b'""]',
    ],
    ids=["objects in a member", "objects", "texts"],
)
def test_refusing_a_body_costs_little_more_memory_than_the_body(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DomainError):
            parse_json(body, 32)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


async def test_at_most_twenty_errors_are_told_and_how_many_there_are(client: Client, app: FastAPI) -> None:
    body = {f"k{number}": 1 for number in range(100)}
    for route in creates(app):
        answer = await client.post(place_of(route), body)
        assert answer.status == 422, answer.body
        assert len(answer.json["errors"]) == MAX_ERRORS
        assert answer.json["error_count"] >= 100


async def test_names_are_quoted_in_part(client: Client, app: FastAPI) -> None:
    for route in creates(app)[:3]:
        answer = await client.post(place_of(route), {"n" * 100_000: 1})
        assert answer.status == 422
        assert len(answer.body) < 4096


async def test_parameters_are_few(client: Client, app: FastAPI) -> None:
    document = app.openapi()
    for path, operations in document["paths"].items():
        if "get" in operations and "{" not in path:
            answer = await client.get(f"{path}?{'&'.join(['limit=1'] * (MAX_PARAMETERS + 1))}")
            assert (answer.status, answer.problem) in ((400, "invalid-parameter"), (404, "not-found")), (path, answer)


async def test_a_form_has_few_fields_and_no_parts(client: Client, app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/x-www-form-urlencoded" in content:
            form = {"content-type": "application/x-www-form-urlencoded"}
            many = await client.post(path, body=b"a=1&" * 2000, headers=form)
            assert (many.status, many.problem) == (400, "invalid-parameter")
            parts = {"content-type": "multipart/form-data; boundary=b"}
            slow = await client.post(path, body=b"--b\r\n", headers=parts)
            assert (slow.status, slow.problem) == (415, "unsupported-media-type")


BOUNDED = ("uuid", "date", "date-time", "time", "binary")
"""Formats whose parser accepts no long text. A file is counted while it is read."""


FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
"""The parser limits their texts: a small form has 16 KiB in total, a field next to a file 1 MiB."""


def is_bounded(schema: dict[str, Any]) -> bool:
    if schema.keys() & {"maxLength", "enum", "const"} or schema.get("format") in BOUNDED:
        return True
    pattern = re.sub(r"\(\?!.*?\$\)", "", schema.get("pattern", "*"))
    return pattern.startswith("^") and pattern.endswith("$") and not re.search(r"[*+]|,\}", pattern)


def unbounded(document: dict[str, Any], schema: Any, pointer: str, seen: frozenset[str]) -> Iterator[str]:
    """Return the places in a request body where a text, an array or an object has no limit."""
    if not isinstance(schema, dict):
        return
    if (name := schema.get("$ref", "").rpartition("/")[2]) and name not in seen:
        yield from unbounded(document, document["components"]["schemas"][name], pointer, seen | {name})
    for choices in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(choices, ()):
            yield from unbounded(document, choice, pointer, seen)
    kind = schema.get("type")
    if kind == "string" and not is_bounded(schema):
        yield f"{pointer}: text"
    if kind == "array":
        if "maxItems" not in schema:
            yield f"{pointer}: array"
        yield from unbounded(document, schema.get("items"), f"{pointer}[]", seen)
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(document, inner, f"{pointer}.{name}", seen)
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from unbounded(document, more, f"{pointer}.*", seen)


def test_every_text_and_array_of_a_request_has_a_bound(app: FastAPI) -> None:
    document = app.openapi()
    found = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            for kind, media in operation.get("requestBody", {}).get("content", {}).items():
                if kind not in FORMS:
                    found |= {
                        f"{operation['operationId']}{place}"
                        for place in unbounded(document, media["schema"], "", frozenset())
                    }
    assert sorted(found) == []
