"""Types of custom activities: which schemas are accepted, without a database, and their versions over HTTP."""

from typing import Any

import pytest

from crm_activities.custom_type.checking import require_schema
from crm_activities.custom_type.domain import MOST_PATTERNS, MOST_SCHEMAS, pointer_to
from crm_activities.custom_type.form import fields_of
from crm_activities.custom_type.schemas import VISIT
from crm_kit.access.privileges import Depth
from crm_kit.errors import DomainError
from crm_kit.testing import Client, principal

TYPES = "/api/v1/activity-types"
TYPE = {"name": "site_visit", "labels": {"en": "Site visit", "ja": "現地訪問"}, "values_schema": VISIT}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        schema = of(x=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        VISIT,
        {"type": "object"},
        {"type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema"},
        nested(8),
        of(a={"$comment": "any", "anyOf": [{"type": "string"}, True]}),
        of(**{f"p{n}": {"type": "string"} for n in range(MOST_SCHEMAS - 1)}),
        of(**{"$ref": {"type": "string", "pattern": "^(a+)+$"}}),
    ],
)
def test_a_schema_of_an_object_is_accepted(schema: dict[str, Any]) -> None:
    require_schema(schema)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({}, "/type"),
        ({"type": "array"}, "/type"),
        ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        (of(a={"$ref": "https://example.com/schema.json"}), "/properties/a/$ref"),
        (of(a={"$ref": "#"}), "/properties/a/$ref"),
        (of(a={"$dynamicRef": "#x"}), "/properties/a/$dynamicRef"),
        ({"type": "object", "$defs": {}}, "/$defs"),
        ({"type": "object", "$id": "https://example.com"}, "/$id"),
        (of(a={"typ": "string"}), "/properties/a/typ"),
        (of(**{"a/b~": {"typ": "string"}}), "/properties/a~1b~0/typ"),
        (of(a={"type": "strin"}), "/properties/a/type"),
        (of(a={"minimum": "one"}), "/properties/a/minimum"),
        (of(a=7), "/properties/a"),
        ({"type": "object", "properties": []}, "/properties"),
        (of(a={"pattern": "("}), "/properties/a/pattern"),
        (of(a={"pattern": "(?=a)"}), "/properties/a/pattern"),
        (of(a={"pattern": r"(a)\1"}), "/properties/a/pattern"),
        (of(a={"pattern": "((a{100}){100}){100}"}), "/properties/a/pattern"),
        (of(a={"pattern": "a" * 201}), "/properties/a/pattern"),
        (of(**{f"p{n:02}": {"pattern": "a"} for n in range(MOST_PATTERNS + 1)}), "/properties/p20/pattern"),
        (of(a={"enum": list(range(501))}), "/properties/a/enum"),
        (of(a={"x-labels": {"en": 7}}), "/properties/a/x-labels"),
        (nested(9), "/properties/x" * 8),
        (of(**{f"p{n:03}": {} for n in range(MOST_SCHEMAS)}), "/properties/p199"),
        ({"type": "object", "description": "x" * 32_768}, ""),
    ],
)
def test_a_schema_that_is_refused_is_told_where(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(DomainError) as refused:
        require_schema(schema, "/values_schema")
    assert refused.value.slug == "invalid-schema"
    assert [error.pointer for error in refused.value.errors] == ["/values_schema" + pointer]


def test_a_pointer_escapes_what_it_names() -> None:
    assert pointer_to("a/b", 0, "~") == "/a~1b/0/~0"


def test_fields_follow_from_the_schema() -> None:
    fields = {field.name: field for field in fields_of(VISIT)}
    assert list(fields) == ["branch", "visited_on", "visitors", "outcome"]
    assert [field.type for field in fields.values()] == ["string", "date", "integer", "string"]
    assert (fields["branch"].labels, fields["branch"].required) == ({"en": "Branch", "ja": "支店"}, True)
    assert (fields["outcome"].labels, fields["outcome"].options) == ({"en": "outcome"}, ["satisfied", "follow_up"])
    mixed = of(a={"type": ["string", "null"], "format": "date-time"}, b={"type": ["string", "integer"]}, c=True)
    assert [field.type for field in fields_of(mixed)] == ["datetime", None, None]


async def test_a_type_is_registered_published_and_retired(client: Client) -> None:
    made = await client.post(TYPES, TYPE)
    assert (made.status, made.json["status"], made.json["schema_version"]) == (201, "draft", 1), made.body
    path = made.headers["location"]
    assert (await client.get(path)).json == made.json
    assert (await client.post(TYPES, TYPE)).problem == "already-exists"
    assert set(made.json["allowed_actions"]) == {"publish", "activate"}
    assert (await client.post(f"{path}/publish", {"values_schema": VISIT})).etag == '"1"'
    wider = {**VISIT, "properties": {"weather": {"type": "string"}, **VISIT["properties"]}}  # type: ignore[dict-item]
    published = await client.post(f"{path}/publish", {"values_schema": wider})
    assert (published.etag, published.json["schema_version"]) == ('"2"', 2)
    newest, first = (await client.get(f"{path}/form")).json, (await client.get(f"{path}/form?version=1")).json
    assert newest["fields"][0]["name"] == "weather"
    assert [field["name"] for field in first["fields"]] == ["branch", "visited_on", "visitors", "outcome"]
    assert (first["schema_version"], first["values_schema"]) == (1, VISIT)
    assert (await client.get(f"{path}/form?version=3")).status == 404
    assert (await client.post(f"{path}/activate")).json["status"] == "active"
    assert (await client.delete(path)).problem == "not-deletable"
    assert (await client.post(f"{path}/retire")).json["status"] == "retired"
    assert (await client.post(f"{path}/publish", {"values_schema": VISIT})).problem == "illegal-transition"
    assert (await client.patch(path, {"labels": {"en": "Visit"}})).json["labels"] == {"en": "Visit"}
    assert (await client.patch(path, {"name": "visit"})).status == 422


async def test_a_draft_is_deleted_with_its_versions(client: Client, rows: Any) -> None:
    path = (await client.post(TYPES, TYPE)).headers["location"]
    assert (await client.delete(path)).status == 204
    assert (await client.get(f"{path}/form")).status == 404
    assert await rows("select number from activity_type_version") == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "Site visit"}, "/name"),
        ({"name": "1st"}, "/name"),
        ({"labels": {}}, "/labels"),
        ({"labels": {"de": "Besuch"}}, "/labels/de"),
        ({"values_schema": {"type": "array"}}, "/values_schema/type"),
        ({"values_schema": []}, "/values_schema"),
    ],
)
async def test_a_type_that_breaks_a_rule_is_told_where(client: Client, change: dict[str, Any], pointer: str) -> None:
    answer = await client.post(TYPES, {**TYPE, **change})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer), answer.body


async def test_types_belong_to_the_organisation(client: Client, client_for: Any) -> None:
    path = (await client.post(TYPES, TYPE)).headers["location"]
    staff = client_for(principal(Depth.USER, activity_type="04000"))
    assert (await staff.get(f"{path}/form")).status == 200
    for answer in (await staff.post(TYPES, TYPE), await staff.post(f"{path}/activate"), await staff.delete(path)):
        assert (answer.status, answer.problem) == (403, "forbidden")
