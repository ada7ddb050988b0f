"""The merged OpenAPI document, the pages around it, and the state machines of all services."""

import re
from importlib import import_module
from typing import Any

import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import all_events
from crm_gateway.documents.compacting import operations
from crm_gateway.documents.openapi import finish, merge, references
from crm_gateway.main import app as gateway_app
from crm_gateway.routes import upstream_of
from crm_gateway.settings import GatewaySettings
from crm_gateway.views import entities
from crm_kit.configuration.settings import Settings
from crm_kit.testing import Client

from .conftest import Start
from .scripted import Scripted, scripted

OWN: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "", "version": "1.0.0"}, "paths": {}, "components": {}}


def document(path: str, schemas: dict[str, Any], ref: str) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ref}"}}}}
    return {"paths": {path: {"get": {"responses": {"200": answer}}}}, "components": {"schemas": schemas}}


def ref_of(merged: dict[str, Any], path: str) -> str:
    ref: str = merged["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    return ref.removeprefix("#/components/schemas/")


def test_components_that_differ_get_the_services_name_and_so_do_those_that_refer_to_them() -> None:
    page = {"properties": {"item": {"$ref": "#/components/schemas/Item"}}}
    problem = {"type": "object"}
    sales = document("/api/v1/leads", {"Page": page, "Item": {"description": "lead"}, "Problem": problem}, "Page")
    tasks = document("/api/v1/tasks", {"Page": page, "Item": {"description": "task"}, "Problem": problem}, "Page")
    merged = merge(OWN, {"sales": sales, "activities": tasks}, [])
    assert list(merged["components"]["schemas"]) == [
        "ActivitiesItem",
        "ActivitiesPage",
        "Problem",
        "SalesItem",
        "SalesPage",
    ]
    assert (ref_of(merged, "/api/v1/leads"), ref_of(merged, "/api/v1/tasks")) == ("SalesPage", "ActivitiesPage")
    item = merged["components"]["schemas"]["SalesPage"]["properties"]["item"]["$ref"]
    assert merged["components"]["schemas"][item.removeprefix("#/components/schemas/")] == {"description": "lead"}
    assert merged == merge(OWN, {"activities": tasks, "sales": sales}, [])


def test_a_path_that_the_gateway_does_not_pass_to_the_service_is_left_out() -> None:
    sales = document("/api/v1/leads", {}, "X")
    sales["paths"] |= {"/api/v1/users": {"get": {}}, "/healthz": {"get": {}}}
    assert list(merge(OWN, {"sales": sales}, [])["paths"]) == ["/api/v1/leads"]


async def test_a_service_that_is_down_is_named_and_missing(start: Start, sales: Scripted) -> None:
    sales.openapi = document("/api/v1/leads", {"Lead": {"type": "object"}}, "Lead")
    gateway = (await start({"sales": sales.url, "activities": "http://127.0.0.1:9"})).as_token(None)
    answer = await gateway.get("/openapi.json")
    assert answer.json["x-unavailable"] == ["activities"]
    assert answer.headers["cache-control"] == "public, max-age=2", "nobody keeps what is not whole"
    assert set(answer.json["paths"]) == {
        *(
            "/api/v1/leads",
            "/api/v1/imports",
            "/api/v1/meta/entities",
            "/api/v1/meta/entities/{entity}",
            "/api/v1/meta/state-machines",
            "/api/v1/search",
            "/api/v1/session",
            "/api/v1/customers/{customer_id}/360",
        )
    }
    schemas = answer.json["components"]["schemas"]
    shared = [schemas[one["$ref"].rpartition("/")[2]]["properties"] for one in schemas["Leads"]["allOf"]]
    [view] = [one["items"] for one in shared if "items" in one]
    assert view["items"] == {"type": "object"}, "nobody has said what a lead looks like"
    again = await gateway.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert sales.seen.count("GET /openapi.json") == 1


PACKAGES = {
    "sales": "crm_sales",
    "marketing": "crm_marketing",
    "service": "crm_service_mgmt",
    "activities": "crm_activities",
    "insights": "crm_insights",
    "identity": "crm_identity",
}


def openapi_of(name: str) -> dict[str, Any]:
    # Loaded by name: only this test imports the services, to check that the gateway serves all of their routes.
    settings = Settings.model_validate({"CRM_SERVICE": name, "CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d"})
    app: FastAPI = import_module(f"{PACKAGES[name]}.main").app(settings)
    return app.openapi()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_path_of_every_service_is_passed_to_it(name: str) -> None:
    offered = openapi_of(name)["paths"]
    assert "/api/v1/meta/state-machines" in offered, "the gateway asks every service for them"
    paths = [path for path in offered if "/meta/" not in path and path not in ("/api/v1/imports", "/api/v1/search")]
    # The gateway composes its own list of imports, and its own search.
    assert {path: upstream_of(path) for path in paths} == dict.fromkeys(paths, name)


def test_the_merged_document_of_the_real_services_is_whole() -> None:
    documents = {name: openapi_of(name) for name in PACKAGES}
    settings = {"CRM_SERVICE": "gateway", "CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d"}
    merged = finish(merge(gateway_app(GatewaySettings.model_validate(settings)).openapi(), documents, []))
    found = set(references(merged))
    assert found
    assert {(kind, name) for kind, name in found if name not in merged["components"][kind]} == set()
    ids = [operation["operationId"] for operation in operations(merged)]
    assert len(ids) == len(set(ids))
    assert all(operation["responses"]["default"] for operation in operations(merged))
    for name, record in (("Leads", "LeadRead"), ("Cases", "CaseRead"), ("Timeline", "TimelineItem")):
        items = merged["components"]["schemas"][name]["properties"]["items"]["items"]
        assert items == {"$ref": f"#/components/schemas/{record}"}


async def test_the_documentation_needs_nothing_from_elsewhere(gateway: Client) -> None:
    nobody = gateway.as_token(None)
    page = await nobody.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.body.decode())
    assert len(sources) == 5
    for source in sources:
        assert source.startswith("/docs/"), "no other server is asked"
        assert (await nobody.get(source)).status == 200
    assert b'fetch("/docs/openapi.json")' in (await nobody.get("/docs/start.js")).body
    areas = (await nobody.get("/docs/openapi.json")).json["x-tagGroups"]
    assert areas[0]["tags"], "the page shows the areas of the document"
    assert (await nobody.get("/docs/assets/none.js")).problem == "not-found"


async def test_the_schema_of_an_event_is_where_its_envelope_says(start: Start) -> None:
    nobody = (await start({}, CRM_PUBLIC_URL="https://crm.example.com/")).as_token(None)
    listed = (await nobody.get("/schemas")).json["items"]
    assert [item["type"] for item in listed] == [event.type for event in all_events()]
    type_ = "crm.sales.lead.qualified.v1"
    [item] = [item for item in listed if item["type"] == type_]
    assert item["dataschema"] == f"https://crm.example.com{item['schema']}"
    answer = await nobody.get(item["schema"])
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json["$id"] == item["dataschema"]
    assert (await nobody.get("/schemas/crm.sales.lead.eaten.v1.json")).problem == "not-found"
    assert (await nobody.get("/asyncapi.json")).json["asyncapi"] == "3.0.0"


async def test_a_problem_explains_itself(start: Start, sales: Scripted) -> None:
    operation = {"description": "A new lead. 422 `no-exchange-rate` when <b>none</b> is in force.", "responses": {}}
    sales.openapi = {"paths": {"/api/v1/leads": {"post": operation}}, "components": {}}
    gateway = (await start({"sales": sales.url})).as_token(None)
    stale = await gateway.get("/problems/stale")
    assert (stale.json["status"], stale.json["type"]) == (412, "/problems/stale")
    rule = await gateway.get("/problems/no-exchange-rate")
    assert rule.json["operations"] == [{"operation": "POST /api/v1/leads", "description": operation["description"]}]
    page = await gateway.get("/problems/no-exchange-rate", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert b"&lt;b&gt;none&lt;/b&gt;" in page.body
    assert (await gateway.get("/problems/no-such-rule")).problem == "not-found"


LEAD = {"entity": "lead", "service": "sales", "initial": "open/new", "states": ["open/new"], "moves": {}}
TASK = {"entity": "task", "service": "activities", "initial": "open/open", "states": ["open/open"], "moves": {}}


async def test_state_machines_of_all_services_in_one_answer(start: Start, sales: Scripted) -> None:
    async with scripted() as activities:
        sales.machines, activities.machines = {"items": [LEAD]}, {"items": [TASK]}
        gateway = await start({"sales": sales.url, "activities": activities.url, "identity": "http://127.0.0.1:9"})
        answer = await gateway.get("/api/v1/meta/state-machines")
    assert answer.status == 200
    assert answer.json["items"] == [TASK, LEAD]
    parts = answer.json["parts"]
    assert {name: part["status"] for name, part in parts.items()} == {
        "sales": "ok",
        "activities": "ok",
        "identity": "unavailable",
    }
    assert parts["identity"]["problem"]["type"] == "/problems/unavailable"
    assert (await gateway.as_token(None).get("/api/v1/meta/state-machines")).status == 401


def job(number: int) -> dict[str, Any]:
    return {"id": f"019aa2f0-0000-7000-8000-{number:012d}", "entity": "lead"}


async def test_imports_of_all_services_in_one_list(start: Start, sales: Scripted) -> None:
    sales.answers["/imports"] = (200, {"items": [job(3), job(2)], "next": job(2)["id"]})
    gateway = await start({"sales": sales.url})
    answer = await gateway.get("/api/v1/imports?limit=2&status=queued")
    assert (answer.status, answer.json["items"]) == (200, [job(3), job(2)])
    assert (answer.json["next"], answer.json["parts"]["sales"]["status"]) == (job(2)["id"], "ok")
    assert sales.seen[-1] == "GET /api/v1/imports?limit=2&status=queued"
    assert (await gateway.get("/api/v1/imports?limit=0")).problem == "invalid-parameter"
    assert (await gateway.as_token(None).get("/api/v1/imports")).status == 401


async def test_a_list_of_imports_marks_a_service_that_does_not_answer(start: Start) -> None:
    gateway = await start({"sales": "http://127.0.0.1:9"})
    answer = await gateway.get("/api/v1/imports")
    assert (answer.status, answer.json["items"], answer.json["next"]) == (200, [], None)
    assert answer.json["parts"]["sales"]["status"] == "unavailable"


async def test_entities_of_all_services_are_one_answer_that_is_kept_by_language(start: Start, sales: Scripted) -> None:
    sales.entities = [{"service": "sales", "entity": "order"}, {"service": "sales", "entity": "lead"}]
    async with scripted() as activities:
        activities.entities = [{"service": "activities", "entity": "task"}]
        gateway = await start({"sales": sales.url, "activities": activities.url})
        japanese = {"accept-language": "ja, en;q=0.5"}
        answer = await gateway.get("/api/v1/meta/entities", headers=japanese)
        assert [item["entity"] for item in answer.json["items"]] == ["task", "lead", "order"]
        assert {item["label"] for item in answer.json["items"]} == {japanese["accept-language"]}
        assert (answer.json["language"], answer.headers["content-language"]) == ("ja", "ja")
        assert "Accept-Language" in ", ".join(answer.headers.getall("vary"))
        again = await gateway.get("/api/v1/meta/entities", headers=japanese | {"if-none-match": answer.etag})
        assert (again.status, again.body, again.etag) == (304, b"", answer.etag)
        other = await gateway.get("/api/v1/meta/entities", headers={"if-none-match": answer.etag})
        assert (other.status, other.json["language"]) == (200, "en")
        assert sales.seen.count("GET /api/v1/meta/entities") == 2, "once for each language"
        assert (await gateway.as_token(None).get("/api/v1/meta/entities")).status == 401


async def test_one_entity_is_told_alone(start: Start, sales: Scripted) -> None:
    sales.entities = [{"service": "sales", "entity": "order"}, {"service": "sales", "entity": "lead"}]
    gateway = await start({"sales": sales.url})
    japanese = {"accept-language": "ja"}
    answer = await gateway.get("/api/v1/meta/entities/lead", headers=japanese)
    listed = (await gateway.get("/api/v1/meta/entities", headers=japanese)).json["items"]
    assert answer.json == next(item for item in listed if item["entity"] == "lead")
    assert answer.headers["content-language"] == "ja"
    again = await gateway.get("/api/v1/meta/entities/lead", headers=japanese | {"if-none-match": answer.etag})
    assert (again.status, again.body, again.etag) == (304, b"", answer.etag)
    assert (await gateway.get("/api/v1/meta/entities/lead", headers={"if-none-match": answer.etag})).status == 200
    other = await gateway.get("/api/v1/meta/entities/order", headers=japanese | {"if-none-match": answer.etag})
    assert (other.status, other.json["entity"]) == (200, "order")
    assert (await gateway.get("/api/v1/meta/entities/leads")).problem == "not-found"
    assert (await gateway.as_token(None).get("/api/v1/meta/entities/lead")).status == 401


async def test_an_entity_of_a_service_that_is_down_may_exist(start: Start, sales: Scripted) -> None:
    sales.entities = [{"service": "sales", "entity": "lead"}]
    gateway = await start({"sales": sales.url, "activities": "http://127.0.0.1:9"})
    assert (await gateway.get("/api/v1/meta/entities/lead")).status == 200
    assert (await gateway.get("/api/v1/meta/entities/task")).problem == "unavailable"


async def test_entities_of_a_service_that_is_down_are_missing_for_a_moment(
    start: Start, sales: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "INCOMPLETE_SECONDS", 0.0)
    sales.entities = [{"service": "sales", "entity": "lead"}]
    sales.answers["/meta/entities"] = (503, {"type": "/problems/unavailable", "detail": "Not now."})
    gateway = await start({"sales": sales.url})
    answer = await gateway.get("/api/v1/meta/entities")
    assert (answer.json["items"], answer.json["parts"]["sales"]["status"]) == ([], "unavailable")
    del sales.answers["/meta/entities"]
    found = await gateway.get("/api/v1/meta/entities")
    assert (len(found.json["items"]), found.etag != answer.etag) == (1, True)


async def test_entities_are_not_kept_without_the_parts_that_failed_for_one_caller(
    start: Start, sales: Scripted
) -> None:
    sales.entities = [{"service": "sales", "entity": "lead"}]
    gateway = await start({"sales": sales.url})
    for status, slug in ((401, "token-superseded"), (403, "forbidden"), (429, "too-many-requests")):
        sales.answers["/meta/entities"] = (status, {"type": f"/problems/{slug}", "detail": "Not you."})
        answer = await gateway.get("/api/v1/meta/entities")
        assert (answer.json["items"], answer.json["parts"]["sales"]["problem"]["status"]) == ([], status)
        del sales.answers["/meta/entities"]
    # The first answer to a hurried caller is late or whole, and no other is without services because of it.
    await gateway.get("/api/v1/meta/entities", headers={"crm-deadline-ms": "1"})
    assert len((await gateway.get("/api/v1/meta/entities")).json["items"]) == 1


async def test_a_whole_answer_about_entities_outlives_a_service(
    start: Start, sales: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "FRESH_SECONDS", 0.0)
    sales.entities = [{"service": "sales", "entity": "lead"}]
    gateway = await start({"sales": sales.url})
    whole = await gateway.get("/api/v1/meta/entities")
    sales.answers["/meta/entities"] = (503, {"type": "/problems/unavailable", "detail": "Not now."})
    assert (await gateway.get("/api/v1/meta/entities")).body == whole.body
    assert sales.seen.count("GET /api/v1/meta/entities") == 2


@pytest.mark.parametrize("told", [[], {}, {"items": None, "next": None}])
@pytest.mark.parametrize("path", ["/meta/entities", "/meta/state-machines", "/imports"])
async def test_an_answer_without_a_list_is_an_unavailable_part(
    start: Start, sales: Scripted, path: str, told: Any
) -> None:
    sales.answers[path] = (200, told)
    gateway = await start({"sales": sales.url})
    answer = await gateway.get(f"/api/v1{path}")
    assert (answer.status, answer.json["items"]) == (200, [])
    assert answer.json["parts"]["sales"]["problem"]["type"] == "/problems/upstream-failed"
