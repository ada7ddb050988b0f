"""Generated requests to every operation of every service, checked against its OpenAPI document.

Every run sends the same requests: each operation has its own seed, and nothing is stored between runs.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from zlib import crc32

import pytest
import requests
import schemathesis
from fastapi import FastAPI, Request
from fastapi import Response as Answer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, BaseSchema, Case, CheckContext, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup
from schemathesis.core.result import Err
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from crm_activities.settings import own_settings
from crm_identity.business_unit.model import ROOT_ID
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Service
from crm_kit.testing import Client, People, principal
from crm_kit.testing.figures import Figures
from crm_kit.testing.serving import served
from tests.conftest import PACKAGES
from tests.integration.abroad import hear_of_what_examples_refer_to
from tests.integration.bodies import body_of

EXAMPLES = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 4}
"""Requests per operation: valid ones, and ones with one or more faults."""
ONE_RECORD = re.compile(r"(?P<collection>/api/v1/[a-z-]+)/\{(?P<parameter>[a-z_]+)\}(/[a-z-]+)?")
MEMBERS = {"type": str, "title": str, "status": int, "detail": str, "instance": str, "trace_id": str}
SETTINGS = settings(
    database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=False
)


@dataclass(frozen=True)
class Portion:
    """The operations that one test tries: one of several equal parts of a service's operations. The first part is 0."""

    package: str
    part: int
    parts: int

    def __str__(self) -> str:
        """The id of the test. The root conftest.py recognises parts by it."""
        return f"{self.package}, part {self.part + 1} of {self.parts}"


PARTS = {"crm_sales": 4}
"""Sales has as many operations as all other services together."""
PORTIONS = [Portion(name, part, parts) for name in PACKAGES for parts in [PARTS.get(name, 1)] for part in range(parts)]


@pytest.fixture(scope="session", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Activities stores files in a folder of the test run."""
    os.environ["CRM_FILES_URL"] = tmp_path_factory.mktemp("files").as_uri()
    own_settings.cache_clear()


@pytest.fixture(scope="session", params=PORTIONS, ids=str)
def portion(request: pytest.FixtureRequest) -> Portion:
    """Each part of each service in turn."""
    one: Portion = request.param
    return one


@pytest.fixture(scope="session")
def package(portion: Portion) -> str:
    """The service of the part."""
    return portion.package


def errors_are_problems(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """RFC 9457, with the additional members of this API."""
    if response.status_code < 400:
        return None
    wrong = []
    if response.headers.get("content-type") != ["application/problem+json"]:
        wrong.append(f"media type {response.headers.get('content-type')}")
    else:
        body = response.json()
        wrong += [
            f"{name}: {body.get(name)!r}" for name, kind in MEMBERS.items() if not isinstance(body.get(name), kind)
        ]
        if body.get("status") != response.status_code:
            wrong.append(f"status {body.get('status')}")
        if not re.fullmatch(r"/problems/[a-z0-9-]+", str(body.get("type"))):
            wrong.append(f"type {body.get('type')}")
        if not re.fullmatch(r"[0-9a-f]{32}", str(body.get("trace_id"))):
            wrong.append(f"trace_id {body.get('trace_id')}")
    if wrong:
        raise Failure(operation=case.operation.label, title="Not a problem document", message="; ".join(wrong))
    return None


CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    errors_are_problems,
]


@dataclass
class Found:
    """The findings of a run over a document."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class Explorer:
    """Sends generated requests from a separate thread, beside the server's loop."""

    def __init__(self, document: dict[str, Any], base_url: str, token: str, checks: Sequence[Any] = CHECKS) -> None:
        self._document, self._base_url, self._checks = document, base_url, list(checks)
        self._session = requests.Session()
        self._headers = {"Authorization": f"Bearer {token}"}
        self.found = Found()

    def explore(self, part: int = 0, parts: int = 1) -> Found:
        """Test every operation in both modes, or one of several equal parts of them."""
        with self._session:
            for operation in islice(operations(schemathesis.openapi.from_dict(self._document)), part, None, parts):
                self.found.operations += 1
                for mode in EXAMPLES:
                    self._try(operation, mode)
        return self.found

    def _try(self, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
        fixed = dict(self._headers)
        if operation.method.upper() in ("PATCH", "DELETE"):
            # Without this, an outdated tag would end nearly every write.
            fixed["If-Match"] = "*"
        requests_of = operation.as_strategy(mode, path_parameters=self._record_for(operation), headers=fixed)

        @seed(crc32(f"{mode} {operation.label}".encode()))
        @settings(SETTINGS, max_examples=EXAMPLES[mode])
        @given(case=requests_of)
        def send(case: Case[Any]) -> None:
            response = case.call(self._base_url, self._session, self._headers, timeout=600)
            self.found.statuses[response.status_code] += 1
            try:
                case.validate_response(response, self._checks, headers=self._headers)
            except FailureGroup as group:
                for failure in group.exceptions:
                    if isinstance(failure, AcceptedNegativeData) and _has_margins(case.body):
                        continue
                    # One of each kind. Further copies of it add nothing.
                    self.found.failures.setdefault(f"{operation.label}: {failure.title}", str(group))

        try:
            send()
        except Unsatisfiable:
            # A request without parameters and body cannot be wrong.
            if mode is GenerationMode.POSITIVE or operation.body or list(operation.iter_parameters()):
                raise

    def _record_for(self, operation: APIOperation[Any, Any, Any, Any]) -> dict[str, Any] | None:
        """Return the id of a new or existing record for an operation on one record."""
        match = ONE_RECORD.fullmatch(operation.path)
        if match is None:
            return None
        create = self._document["paths"].get(match["collection"], {}).get("post", {})
        if "201" in create.get("responses", {}):
            url = self._base_url + match["collection"]
            body = body_of(self._document, create)
            made = self._session.post(url, json=body, headers=self._headers, timeout=600)
            if made.status_code == 201:
                return {match["parameter"]: made.json()["id"]}
        listed = self._session.get(
            self._base_url + match["collection"], params={"limit": 1}, headers=self._headers, timeout=600
        )
        items = listed.json().get("items", [])
        return {match["parameter"]: items[0]["id"]} if items else None


def _has_margins(value: Any) -> bool:
    """Texts are trimmed before their length is checked, so one with margins can exceed its schema and still be
    accepted."""
    match value:
        case str():
            return value != value.strip()
        case dict():
            return any(map(_has_margins, value.values()))
        case list():
            return any(map(_has_margins, value))
    return False


def operations(schema: BaseSchema) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()
        yield result.ok()


async def test_every_answer_is_one_that_openapi_announces(
    client_for: Callable[[Principal | None], Client],
    people: People,
    service: Service,
    app: FastAPI,
    figures: Figures,
    portion: Portion,
) -> None:
    if service.entities:
        await people.organization()
        await hear_of_what_examples_refer_to(app)
    # In the root unit, which identity requires to exist.
    client = client_for(principal(unit=ROOT_ID))
    assert client.token is not None
    # A gateway without services answers 503, which its document declares. It declares no other 5xx.
    checks = [check for check in CHECKS if service.entities or check is not not_a_server_error]
    explorer = Explorer(app.openapi(), client.base_url, client.token, checks)
    found = await asyncio.to_thread(explorer.explore, portion.part, portion.parts)
    figures(operations=found.operations, answers=dict(sorted(found.statuses.items())), wrong=len(found.failures))
    everything = [method for methods in app.openapi()["paths"].values() for method in methods]
    assert found.operations == len(everything[portion.part :: portion.parts])
    assert found.failures == {}, "\n\n".join(found.failures.values())


async def test_an_answer_that_openapi_does_not_announce_is_seen() -> None:
    app = FastAPI()

    @app.get("/breaks")
    def breaks() -> Answer:
        return Answer("broken", 500, media_type="text/plain")

    @app.get("/surprises", responses={404: {"description": "No such thing."}})
    def surprises() -> Answer:
        return Answer(b"{}", 418, media_type="application/problem+json")

    @app.get("/grumbles", responses={404: {"description": "No such thing."}})
    def grumbles() -> Answer:
        return Answer(b'{"detail": "Not found"}', 404, media_type="application/json")

    @app.get("/accepts")
    def accepts(request: Request) -> Answer:
        return Answer(b"{}", media_type="application/json")

    document = app.openapi()
    document["paths"]["/accepts"]["get"]["parameters"] = [
        {"name": "limit", "in": "query", "required": True, "schema": {"type": "integer", "minimum": 1}}
    ]
    async with served(app) as url:
        found = await asyncio.to_thread(Explorer(document, url, "a token").explore)
    assert set(found.failures) >= {
        "GET /breaks: Server error",
        "GET /breaks: Not a problem document",
        "GET /surprises: Undocumented status code",
        "GET /surprises: Not a problem document",
        "GET /grumbles: Not a problem document",
        "GET /accepts: Schema-violating request accepted",
    }
