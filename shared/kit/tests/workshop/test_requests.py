"""What reaches a service from outside: bodies, headers, retries, conditions, and how each of them is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from crm_contracts.access import Privilege
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, Issuer, People, announced, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.violations import violation

from .conftest import a_tool, stored

TOOLS = "/api/v1/tools"


@pytest.fixture
async def tool(client: Client) -> str:
    """The path of a tool that the caller owns."""
    created = await client.post(TOOLS, {"name": "a hammer"})
    assert created.status == 201, created.body
    return created.headers["location"]


async def test_a_created_record_says_where_it_is_and_what_it_changed(client: Client) -> None:
    created = await client.post(TOOLS, {"name": "a hammer", "weight": "1.50"})
    assert created.status == 201
    assert created.headers["location"] == f"{TOOLS}/{created.json['id']}"
    assert created.headers["crm-version"] == f"tool/{created.json['id']}@1"
    assert (created.etag, created.json["weight"]) == ('"1"', "1.5")
    assert created.json["allowed_actions"] == ["lend", "scrap", "assign"]
    got = await client.get(created.headers["location"])
    assert (got.status, got.body, got.etag) == (200, created.body, created.etag)
    assert (got.headers["cache-control"], got.headers["vary"]) == ("private, no-cache", "Authorization")


@pytest.mark.parametrize("coding", ["gzip", "identity, br", "unknown"])
async def test_a_coded_body_is_refused_by_its_coding(client: Client, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    answer = await client.request("POST", TOOLS, body=b"\x1f\x8b", headers=headers)
    assert (answer.status, answer.problem) == (415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity", "RFC 9110 12.5.3"
    headers["content-encoding"] = "identity"
    answer = await client.request("POST", TOOLS, body=b'{"name": "a hammer"}', headers=headers)
    assert answer.status == 201


@pytest.mark.parametrize(
    ("body", "content_type", "status", "problem"),
    [
        (b"{", "application/json", 400, "invalid-json"),
        (b'{"name": NaN}', "application/json", 400, "invalid-json"),
        (b'{"name": "\\ud800"}', "application/json", 400, "invalid-json"),
        (b"\xff\xfe", "application/json", 400, "invalid-json"),
        (b"[" * 40 + b"]" * 40, "application/json", 400, "invalid-json"),
        (b'{"name": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "application/json", 400, "invalid-json"),
        (b'{"name": "' + b"x" * 1024 * 1024 + b'"}', "application/json", 413, "body-too-large"),
        (b"name=hammer", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b'{"name": "hammer"}', "text/plain", 415, "unsupported-media-type"),
        (b'{"name": "ham\\u0000mer"}', "application/json", 422, "validation"),
        (b'{"name": "   "}', "application/json", 422, "validation"),
        (b"{}", "application/json", 422, "validation"),
        (b"[]", "application/json", 422, "validation"),
        (b"", "application/json", 422, "validation"),
        (b'{"name": "x", "colour": "red"}', "application/json", 422, "validation"),
        (
            b'{"name": "x", "owner_id": "01900000-0000-7000-8000-000000000001"}',
            "application/json",
            422,
            "read-only-field",
        ),
        (b'{"name": "x", "status": "gone"}', "application/json", 422, "read-only-field"),
        (b'{"name": "x", "id": "1", "version": 9}', "application/json", 422, "read-only-field"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(
    client: Client, body: bytes, content_type: str, status: int, problem: str
) -> None:
    answer = await client.request("POST", TOOLS, body=body, headers={"content-type": content_type})
    assert (answer.status, answer.problem) == (status, problem), answer.body
    assert answer.json["status"] == status


@pytest.mark.parametrize(
    ("body", "told"), [(b"", "missing"), (b"null", "null"), (b"[]", "not a JSON object"), (b'"x"', "not a JSON object")]
)
async def test_a_body_that_is_no_object_is_told_what_to_be(client: Client, body: bytes, told: str) -> None:
    answer = await client.request("POST", TOOLS, body=body, headers={"content-type": "application/json"})
    assert (answer.status, answer.problem) == (422, "validation")
    (place,) = answer.json["errors"]
    assert place["pointer"] == "", "the whole document (RFC 6901)"
    assert told in place["message"]
    assert "Send a JSON object" in place["message"]


async def test_who_may_not_is_told_what_is_missing_and_whom_to_ask(
    client_for: Callable[[Principal | None], Client], people: People, tool: str
) -> None:
    nowhere = await client_for(principal(tool="04000")).post(TOOLS, {"name": "a saw"})
    assert nowhere.json["detail"] == (
        "You need the privilege 'create' on tool, and none of your security roles has it. Ask an administrator for a role"
        " that has it."
    )
    too_near = await client_for(principal(tool="44144")).patch(tool, {"size": 1})
    assert (nowhere.status, too_near.status) == (403, 403)
    assert too_near.json["detail"] == (
        "Your privilege 'write' on tool does not reach this record. Ask its owner to do it, or ask an administrator for a role"
        " that reaches further."
    )


async def test_a_body_is_counted_while_it_streams(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(40):
            yield b"x" * 65_536
        yield b'"}'

    answer = await client.request("POST", TOOLS, body=endless(), headers={"content-type": "application/json"})
    assert (answer.status, answer.problem) == (413, "body-too-large")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/tools/", "/nothing"])
async def test_an_unknown_path_is_a_problem_too(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.problem) == (404, "not-found")


async def test_another_method_is_405_and_says_which_there_are(client: Client, tool: str) -> None:
    answer = await client.request("PUT", tool, json={})
    assert (answer.status, answer.problem) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, PATCH, DELETE"


async def test_a_word_in_the_place_of_an_id_is_none(client: Client) -> None:
    for method in ("GET", "PATCH", "DELETE", "PUT"):
        answer = await client.request(method, f"{TOOLS}/query", json={}, headers={"if-match": "*"})
        assert (answer.status, answer.headers.get("allow")) == (405, "POST"), method


async def test_head_is_get_without_the_body(client: Client, tool: str) -> None:
    for path, status in (
        (tool, 200),
        (TOOLS, 200),
        (f"{TOOLS}/{uuid4()}", 404),
        ("/healthz", 200),
        ("/openapi.json", 200),
    ):
        got, head = await client.get(path), await client.request("HEAD", path)
        assert (head.status, head.body) == (status, b""), path
        assert _told(head) == _told(got), path
    unchanged = await client.request("HEAD", tool, headers={"if-none-match": (await client.get(tool)).etag})
    assert unchanged.status == 304


def _told(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if name.lower() != "crm-correlation-id"}


async def test_a_foreign_and_a_missing_record_look_the_same(
    client: Client, tool: str, client_for: Callable[[Principal | None], Client]
) -> None:
    stranger = client_for(principal(tool="11111"))
    foreign, missing, malformed = [
        await stranger.get(path) for path in (tool, f"{TOOLS}/{uuid4()}", f"{TOOLS}/not-an-id")
    ]
    assert [answer.status for answer in (foreign, missing, malformed)] == [404, 404, 404]
    assert _but_its_place(foreign) == _but_its_place(missing)


def _but_its_place(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name not in ("instance", "trace_id")}


async def test_nobody_is_401(client: Client, issuer: Issuer, caller: Principal) -> None:
    for token, problem in [
        (None, "token-missing"),
        ("nonsense", "token-invalid"),
        (issuer.token(caller, exp=1, iat=0), "token-expired"),
        (issuer.token(caller, aud="others"), "token-invalid"),
        (issuer.token(caller)[:-4] + "AAAA", "token-invalid"),
    ]:
        answer = await client.as_token(token).get(TOOLS)
        assert (answer.status, answer.problem) == (401, problem)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("etag", "status"),
    [
        (None, 428),
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),
        ('"x"', 412),
        ("1", 400),
        ("", 400),
    ],
)
async def test_a_patch_needs_the_version_it_was_made_from(
    client: Client, tool: str, etag: str | None, status: int
) -> None:
    answer = await client.patch(tool, {"size": 3}, etag=etag)
    assert answer.status == status, answer.body


async def test_a_patch_that_changes_nothing_keeps_the_version_and_tells_nobody(
    runtime: Runtime, client: Client, tool: str
) -> None:
    answer = await client.patch(tool, {"name": " a hammer ", "size": None})
    assert (answer.status, answer.etag, answer.headers.get("crm-version")) == (200, '"1"', None)
    async with runtime.db.autocommit() as conn:
        assert len(await announced(conn)) == 1


async def test_a_merge_patch_sets_and_clears(client: Client, tool: str) -> None:
    await client.patch(tool, {"size": 3, "note": "heavy", "tags": ["a"]})
    kind = {"content-type": "application/merge-patch+json"}
    answer = await client.patch(tool, {"size": None, "tags": ["b"]}, headers=kind)
    assert (answer.json["size"], answer.json["note"], answer.json["tags"], answer.json["version"]) == (
        None,
        "heavy",
        ["b"],
        3,
    )


async def test_unchanged_is_304_until_anything_shown_changes(client: Client, tool: str, people: People) -> None:
    first = await client.get(tool)
    again = await client.get(tool, headers={"if-none-match": first.etag})
    assert (again.status, again.body) == (304, b"")
    await client.patch(tool, {"size": 3})
    assert (await client.get(tool, headers={"if-none-match": first.etag})).status == 200


async def test_an_illegal_move_says_what_is_possible(client: Client, tool: str) -> None:
    assert (await client.post(f"{tool}/lend")).json["allowed_actions"] == ["return", "scrap", "assign"]
    answer = await client.post(f"{tool}/lend")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert (answer.json["status_reason"], answer.json["allowed"]) == ("lent", ["return", "scrap"])


async def test_deleted_is_404_but_its_history_stays_for_the_organisation(
    client: Client, tool: str, client_for: Callable[[Principal | None], Client]
) -> None:
    await client.patch(tool, {"size": 3})
    assert (await client.delete(tool, etag='"1"')).status == 412
    gone = await client.delete(tool, etag='"2"')
    assert (gone.status, gone.body, gone.headers["crm-version"].partition("@")[2]) == (204, b"", "3")
    assert (await client.get(tool)).status == 404
    history = (await client.get(f"{tool}/history?limit=2")).json
    assert [(item["version"], item["fact"]) for item in history["items"]] == [(3, "deleted"), (2, "updated")]
    assert history["items"][1]["changes"] == {"size": {"old": None, "new": 3}}
    rest = (await client.get(f"{tool}/history?limit=2&after={history['next']}")).json
    assert [(item["version"], item["fact"], item["record"]["name"]) for item in rest["items"]] == [
        (1, "created", "a hammer")
    ]
    assert rest["next"] is None
    assert (await client_for(principal(tool="33333")).get(f"{tool}/history")).status == 404


async def test_assigning_moves_owner_and_unit_and_tells_both(
    runtime: Runtime, client: Client, tool: str, people: People
) -> None:
    unit = await people.unit("Elsewhere")
    heir = await people.user("Grace Hopper", unit=unit)
    asleep = await people.user("Away", active=False)
    answer = await client.post(f"{tool}/assign", {"owner_type": "user", "owner_id": heir})
    assert (answer.json["owner_id"], answer.json["owner_name"], answer.json["business_unit_id"]) == (
        str(heir),
        "Grace Hopper",
        str(unit),
    )
    for owner, problem in [(asleep, "inactive-reference"), (uuid4(), "unknown-reference")]:
        refused = await client.post(f"{tool}/assign", {"owner_type": "user", "owner_id": owner})
        assert (refused.status, refused.problem) == (422, problem)
    async with runtime.db.autocommit() as conn:
        event = (await announced(conn))[-1]
    assert (event["type"], event["ownerid"]) == ("crm.workshop.tool.assigned.v1", str(heir))
    assert event["data"]["new_owner"]["business_unit_id"] == str(unit)


# -- Idempotency-Key ---------------------------------------------------------------------------------------------------


async def test_the_same_key_and_body_get_the_same_answer_once_carried_out(runtime: Runtime, client: Client) -> None:
    first, second = [
        await client.post(TOOLS, {"name": "a hammer"}, headers={"idempotency-key": "k1"}) for _ in range(2)
    ]
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert [answer.headers.get("idempotent-replayed") for answer in (first, second)] == [None, "true"]
    for name in ("location", "etag", "crm-version"):
        assert first.headers[name] == second.headers[name]
    async with runtime.db.autocommit() as conn:
        assert len(await announced(conn)) == 1


async def test_the_same_key_with_another_body_is_422(client: Client) -> None:
    await client.post(TOOLS, {"name": "a hammer"}, headers={"idempotency-key": "k1"})
    answer = await client.post(TOOLS, {"name": "a saw"}, headers={"idempotency-key": "k1"})
    assert (answer.status, answer.problem) == (422, "idempotency-key-reused")


async def test_a_key_is_one_callers_and_one_paths_own(
    client: Client, tool: str, client_for: Callable[[Principal | None], Client]
) -> None:
    key = {"idempotency-key": "k1"}
    mine = await client.post(TOOLS, {"name": "a saw"}, headers=key)
    theirs = await client_for(principal(tool="44444")).post(TOOLS, {"name": "a saw"}, headers=key)
    assert mine.json["id"] != theirs.json["id"]
    assert (await client.post(f"{tool}/lend", headers=key)).status == 200


async def test_a_refused_request_leaves_its_key_free(client: Client, tool: str) -> None:
    key = {"idempotency-key": "k1"}
    await client.post(f"{tool}/lend", headers={"idempotency-key": "k0"})
    assert (await client.post(f"{tool}/lend", headers=key)).status == 409
    assert (await client.post(TOOLS, {"name": "x", "box_id": uuid4()}, headers=key)).status == 422
    assert (await client.post(TOOLS, {"name": "x"}, headers=key)).status == 201


async def test_a_retried_command_is_answered_from_memory_although_the_state_moved_on(client: Client, tool: str) -> None:
    key = {"idempotency-key": "k1", "if-match": '"1"'}
    first, second = [await client.post(f"{tool}/lend", headers=key) for _ in range(2)]
    assert (first.status, second.status, second.body) == (200, 200, first.body)


async def test_of_concurrent_twins_one_acts_and_the_others_get_its_answer(runtime: Runtime, client: Client) -> None:
    answers = await asyncio.gather(
        *(client.post(TOOLS, {"name": "a hammer"}, headers={"idempotency-key": "k1"}) for _ in range(6))
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    async with runtime.db.autocommit() as conn:
        assert len(await announced(conn)) == 1


async def test_a_twin_that_takes_too_long_is_told_so(runtime: Runtime, client: Client, caller: Principal) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into idempotency (principal, method, path, key, fingerprint, created_at)"
            " values ($1, 'POST', $2, 'k1', '', now())",
            (caller.id, TOOLS),
        )
        answer = await client.post(TOOLS, {"name": "a hammer"}, headers={"idempotency-key": "k1"})
        await conn.rollback()
    assert (answer.status, answer.problem) == (409, "in-progress")


@pytest.mark.parametrize("key", ["x" * 256, ""])
async def test_a_key_of_no_client_library_is_400(client: Client, key: str) -> None:
    answer = await client.post(TOOLS, {"name": "a hammer"}, headers={"idempotency-key": key})
    assert (answer.status, answer.problem) == (400, "invalid-idempotency-key")


# -- time and other people ---------------------------------------------------------------------------------------------


async def test_a_record_held_by_somebody_else_is_503_with_a_hint_when_to_try_again(
    runtime: Runtime, client: Client, tool: str
) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select from tool for update")
        answer = await client.patch(tool, {"size": 3})
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert (await client.patch(tool, {"size": 3})).status == 200


async def test_a_deadline_that_passes_is_504_and_nothing_happens(runtime: Runtime, client: Client, tool: str) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select from tool for update")
        answer = await client.patch(tool, {"size": 3}, headers={"crm-deadline-ms": "150"})
        assert (answer.status, answer.problem) == (504, "deadline-exceeded")
    assert (await client.get(tool)).json["version"] == 1
    assert (await client.patch(tool, {"size": 3}, headers={"crm-deadline-ms": "soon"})).status == 400


async def test_a_full_pool_is_503_and_recovers(runtime: Runtime, client: Client, tool: str) -> None:
    held = [runtime.db.connect(autocommit=True) for _ in range(runtime.settings.connections)]
    for conn in held:
        await conn.start()
    answer = await client.get(tool)
    assert (answer.status, answer.problem) == (503, "unavailable")
    for conn in held:
        await conn.close()
    assert (await client.get(tool)).status == 200


async def test_fifty_at_once_make_one_move(runtime: Runtime, client: Client, tool: str) -> None:
    answers = await asyncio.gather(*(client.post(f"{tool}/lend") for _ in range(50)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 503}
    async with runtime.db.autocommit() as conn:
        assert [event["entityversion"] for event in await announced(conn)] == [1, 2]


async def test_two_posts_of_one_unique_value_are_201_and_409(runtime: Runtime, client: Client, app: FastAPI) -> None:
    await stored(runtime, a_tool(number="TOO-99999"))
    runtime.numbers._ready["TOO"] = [99999]
    answer = await client.post(TOOLS, {"name": "a hammer"})
    assert (answer.status, answer.problem) == (409, "already-exists")
    message = "Send another value: another tool has this value."
    assert answer.json["errors"] == [{"pointer": "/number", "code": "already-exists", "message": message}]


async def test_a_reference_to_what_is_deleted_at_the_same_moment_is_told_with_its_place(
    runtime: Runtime, client: Client
) -> None:
    from .miniature import Box

    box = Box(name="the red box")
    await stored(runtime, box)
    async with runtime.db.begin() as deleting:
        await deleting.exec_driver_sql("delete from box where id = $1", (box.id,))
        posting = asyncio.create_task(client.post(TOOLS, {"name": "a hammer", "box_id": str(box.id)}))
        async with runtime.db.autocommit() as conn:
            waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
            while not (await conn.exec_driver_sql(waits)).scalar_one():
                assert not posting.done(), posting.result().body
    answer = await posting
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert answer.json["errors"][0]["pointer"] == "/box_id"


async def test_what_refers_to_a_removed_record_is_told_where_only_the_database_knew(
    runtime: Runtime, client: Client
) -> None:
    from .miniature import Box, BoxDeleted

    box = Box(name="the red box")
    await stored(runtime, box)
    await client.post(TOOLS, {"name": "a hammer", "box_id": str(box.id)})
    uow = UnitOfWork(runtime, principal(box="44444", tool="44444"), Cause("a test"))
    # A command that does not look before it removes.
    uow.remove(await uow.get(Box, box.id, Privilege.DELETE), BoxDeleted)
    with pytest.raises(DBAPIError) as broken:
        await uow.commit()
    await uow.close()
    found = await violation(broken.value, uow)
    assert found is not None
    assert found.slug == "in-use"
    assert [one["name"] for one in found.members["references"]] == ["a hammer"]


async def test_a_request_keeps_its_correlation_and_trace(runtime: Runtime, client: Client) -> None:
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    sent = {"crm-correlation-id": "story-7", "traceparent": parent}
    answer = await client.post(TOOLS, {"name": "a hammer"}, headers=sent)
    assert answer.headers["crm-correlation-id"] == "story-7"
    async with runtime.db.autocommit() as conn:
        [event] = await announced(conn)
    assert (event["correlationid"], event["traceparent"]) == ("story-7", parent)
    refused = await client.post(TOOLS, {}, headers=sent)
    assert refused.json["trace_id"] == "ab" * 16


async def test_a_record_in_use_is_409_and_hides_what_the_caller_may_not_see(
    runtime: Runtime, client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    from .miniature import Box

    box = Box(name="the red box")
    await stored(runtime, box)
    await client.post(TOOLS, {"name": "a hammer", "box_id": box.id})
    answer = await client.delete(f"/api/v1/boxes/{box.id}")
    assert (answer.status, answer.problem) == (409, "in-use")
    assert [found["name"] for found in answer.json["references"]] == ["a hammer"]
    stranger = client_for(principal(tool="11111", box="44444"))
    assert (await stranger.delete(f"/api/v1/boxes/{box.id}")).json["references"] == [{"hidden": True}]


@pytest.mark.parametrize(
    ("accepted", "language", "title", "message"),
    [
        ("ja", "ja", "入力に誤りがあります", "この項目は必須です。"),
        ("zh-CN", "zh-Hans", "输入有误", "此字段为必填项。"),
        ("zh-TW", "zh-Hant", "輸入有誤", "此欄位為必填。"),
        ("de", "en", "Validation", "Send this field: it is required."),
    ],
)
async def test_a_problem_speaks_the_language_of_its_reader(
    client: Client, accepted: str, language: str, title: str, message: str
) -> None:
    answer = await client.post(TOOLS, {"size": "x" * 10}, headers={"accept-language": accepted})
    assert (answer.problem, answer.json["title"]) == ("validation", title)
    assert answer.headers["content-language"] == language
    assert "Accept-Language" in ", ".join(answer.headers.getall("vary"))
    errors = {error["pointer"]: (error["code"], error["message"]) for error in answer.json["errors"]}
    assert errors["/name"] == ("missing", message)
    missing = await client.get(f"{TOOLS}/{uuid4()}", headers={"accept-language": accepted})
    assert missing.problem == "not-found"
    assert (missing.json["detail"].isascii()) == (language == "en")
