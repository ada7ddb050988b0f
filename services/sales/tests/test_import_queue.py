"""The order of imports, and the end of imports that cannot continue."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog

from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.copies.directory_feed import FORGET_REVOCATIONS
from crm_kit.importing import operations, queue, runner
from crm_kit.importing.outcome import Outcome
from crm_kit.importing.runner import ImportLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, People, principal
from crm_kit.testing.databases import ServiceDatabase
from crm_sales.importers import IMPORTERS

from .test_import import HEADER, imported, send, worked_off

ClientFor = Callable[[Principal | None], Client]
ENTITIES = ("lead", "contact", "account", "opportunity")
API = "/api/v1"
HOUR = timedelta(hours=1)


def rows(count: int) -> str:
    return HEADER + "".join(f"Card,,Number {number},,\n" for number in range(count))


async def sql(runtime: Runtime, statement: str, *parameters: object) -> Sequence[Any]:
    async with runtime.db.autocommit() as conn:
        found = await conn.exec_driver_sql(statement, parameters)
        return found.all() if found.returns_rows else []


async def refused_by_the_database(runtime: Runtime, operation: str, table: str, when: str = "true") -> None:
    """Make every such statement fail for a reason that no row causes."""
    await sql(
        runtime,
        "create function pg_temp_refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'nobody foresaw this' using errcode = 'XX001'; end $$",
    )
    await sql(
        runtime,
        f"create trigger refuse before {operation} on {table} for each row when ({when})"
        " execute function pg_temp_refuse()",
    )


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Errors are expected here, and formatting each of them for a terminal takes seconds."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(autouse=True)
async def mended(runtime: Runtime) -> AsyncIterator[None]:
    yield
    for table in ("import_error", "import_row", "import_job"):
        await sql(runtime, f"drop trigger if exists refuse on {table}")
    await sql(runtime, "drop function if exists pg_temp_refuse()")


async def skip_pauses(runtime: Runtime) -> None:
    await sql(runtime, "update import_job set next_attempt_at = null")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("leads.csv", f"topic,last_name,{'x' * 201}\na,One,not-an-address\n"),
        ("leads.csv", "topic,last_name,e\x00mail\na,One,not-an-address\n"),
        ("leads.ndjson", '{"topic":"a","last_name":"One","e\\u0000mail":"not-an-address"}'),
    ],
)
async def test_a_header_that_nothing_can_store_is_refused(
    client: Client, runtime: Runtime, name: str, content: str
) -> None:
    answer = await send(client, content, name=name)
    assert (answer.status, answer.problem) == (422, "unreadable-file")
    assert "column 3" in answer.json["detail"]
    assert await sql(runtime, "select 1 from import_job") == []


async def test_what_a_row_says_never_breaks_more_than_the_row(client: Client, runtime: Runtime) -> None:
    nasty = "\x00 \\u0000 ' \" \u202e\ufffe"
    content = (
        f"topic,last_name,email,phone,owner_email\nCard,Fine,,,\n{nasty},One,{nasty},{nasty},{nasty}\nCard,Last,,,\n"
    )
    job, errors = await imported(client, runtime, content.replace('"', '""'))
    assert (job["status"], job["done"], job["failed"]) == ("completed", 2, 1)
    assert {error[0] for error in errors} == {"3"}


async def test_a_row_with_very_many_errors_is_told_of_in_few(client: Client, runtime: Runtime) -> None:
    job, errors = await imported(client, runtime, "name,reasons\nx," + ";".join("y" * 20_000) + "\n", to="accounts")
    assert job["failed"] + job["done"] == 1
    assert len(errors) <= 20


async def test_the_cells_of_a_row_are_kept_once_and_shown_with_each_error(client: Client, runtime: Runtime) -> None:
    job, errors = await imported(
        client, runtime, HEADER + "Card,,One,not-an-address,123456789012345678901\n,,Two,x,y\n"
    )
    assert job["failed"] == 2
    assert [error[4:] for error in errors if error[0] == "3"] == [["", "", "Two", "x", "y"]] * 3
    [[kept]] = await sql(runtime, "select count(*) from import_error where cells::text <> '[]'")
    assert kept == 2


async def test_a_job_that_fails_for_a_reason_nobody_foresaw_ends_and_holds_up_nobody(
    client: Client, client_for: ClientFor, runtime: Runtime
) -> None:
    bad = (await send(client, rows(3))).headers["location"]
    job_id = bad.rpartition("/")[2]
    await refused_by_the_database(runtime, "delete", "import_row", f"old.job_id = '{job_id}'")
    good = (await send(client_for(principal()), rows(1))).headers["location"]
    loop = ImportLoop(runtime, IMPORTERS)
    attempts = 0
    while (found := (await client.get(bad)).json)["status"] in ("queued", "running") and attempts < 50:
        attempts += 1
        while await loop.work_chunk():
            pass
        if attempts == 1:
            assert (await client.get(good)).json["status"] == "completed"
            [[pause]] = await sql(
                runtime, "select next_attempt_at > $1 from import_job where id = $2", clock.now(), UUID(job_id)
            )
            assert pause, "it rests before the next attempt"
        await skip_pauses(runtime)
    assert (found["status"], found["reason"]) == ("failed", "internal-error")
    assert "From row 2 of the file on" in found["message"]
    assert attempts == queue.MOST_ATTEMPTS
    await sql(runtime, "drop trigger refuse on import_row")
    await loop.clean()
    assert await sql(runtime, "select 1 from import_row") == []


async def test_a_row_whose_error_cannot_be_stored_fails_the_job_and_not_the_worker(
    client: Client, runtime: Runtime
) -> None:
    await refused_by_the_database(runtime, "insert", "import_error", "new.code <> 'internal-error'")
    job, errors = await imported(client, runtime, HEADER + "a,,One,not-an-address,\nb,,Two,,\n")
    assert (job["status"], job["done"], job["failed"]) == ("completed", 1, 1)
    assert [error[2] for error in errors] == ["internal-error"]


async def test_a_lane_that_cannot_even_note_a_failure_waits_longer_each_time(
    client: Client, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(client, rows(3))
    await refused_by_the_database(runtime, "update", "import_job")
    loop, attempts = ImportLoop(runtime, IMPORTERS), 0
    often = asyncio.Event()
    work = loop.work_chunk

    async def counted() -> bool:
        nonlocal attempts
        attempts += 1
        if attempts >= 6:
            often.set()
        return await work()

    monkeypatch.setattr(loop, "work_chunk", counted)
    began = clock.monotonic()
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(120):
        await often.wait()
    seconds = clock.monotonic() - began
    loop.stop()
    await running
    assert attempts / seconds < 20, "a spinning lane makes hundreds of attempts a second"


async def test_owners_take_turns_and_a_small_file_passes(
    client: Client, client_for: ClientFor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 10)
    places = [(await send(client, rows(100))).headers["location"] for _ in range(2)]
    other = client_for(principal())
    loop = ImportLoop(runtime, IMPORTERS)
    assert await loop.work_chunk()
    small = (await send(other, rows(1))).headers["location"]
    for _ in range(2):
        assert await loop.work_chunk()
    assert (await other.get(small)).json["done"] == 1
    assert [(await client.get(place)).json["done"] for place in places] == [20, 0], (
        "one owner's files: the oldest first"
    )


@asynccontextmanager
async def lane(runtime: Runtime) -> AsyncIterator[tuple[UUID, bool] | None]:
    """Claim a job as a lane of another process does, and hold it in the block. Yield its owner and whether it is in turn."""
    async with runtime.db.begin() as conn:
        job = await queue.claim(conn, ENTITIES, [])
        yield None if job is None else (job.principal.id, job.in_turn)


async def test_no_owner_has_two_lanes_while_another_waits(client_for: ClientFor, runtime: Runtime) -> None:
    first, second = principal(), principal()
    for _ in range(3):
        await send(client_for(first), rows(2))
    async with lane(runtime) as one, lane(runtime) as helper:
        assert one == (first.id, True)
        assert helper == (first.id, False), "a lane that nobody else needs helps"
    await send(client_for(second), rows(1))
    async with lane(runtime) as one, lane(runtime) as two, lane(runtime) as three:
        assert {one, two} == {(first.id, True), (second.id, True)}
        assert three is not None
        assert three[1] is False


async def test_a_job_of_the_previous_release_gets_its_turn(client: Client, runtime: Runtime) -> None:
    place = (await send(client, rows(1))).headers["location"]
    await sql(runtime, "delete from import_turn")
    await sql(runtime, "update import_job set principal = principal - 'issued_at'")
    loop = ImportLoop(runtime, IMPORTERS)
    await loop.work_chunk()
    await worked_off(runtime)
    assert (await client.get(place)).json["status"] == "completed"


async def test_many_rows_of_one_name_are_compared_with_few_stored_ones(
    client: Client, client_for: ClientFor, runtime: Runtime
) -> None:
    await imported(client, runtime, HEADER + "Card,Ada,Lovelace,,\n" * 200)
    content = HEADER + "".join(f"Card,Ada,Lovelace,a{number}@example.org,\n" for number in range(120))
    job, errors = await imported(client, runtime, content, duplicates="report")
    assert (job["done"], len(errors)) == (120, 120)
    assert {error[1] for error in errors} == {"last_name"}


async def test_a_chunk_that_takes_too_long_to_compare_is_made_smaller(
    client: Client, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that takes too long on its own is refused. The others are imported."""
    from crm_sales.lead.commands import IMPORTER

    sizes: list[int] = []

    async def slow(uow: Any, records: Sequence[Any]) -> list[Any]:
        sizes.append(len(records))
        if any(record.last_name == "Number 3" for record in records):
            await (await uow.connection()).exec_driver_sql("set local statement_timeout = '10ms'")
            await (await uow.connection()).exec_driver_sql("select pg_sleep(10)")
        return []

    importers = [
        type(IMPORTER)(IMPORTER.entity, IMPORTER.schema, IMPORTER.event, IMPORTER.make, slow),
    ]
    place = (await send(client, rows(6), duplicates="report")).headers["location"]
    loop = ImportLoop(runtime, importers)
    while await loop.work_chunk():
        pass
    job = (await client.get(place)).json
    assert (job["status"], job["done"], job["failed"]) == ("completed", 5, 1)
    errors = list(csv.reader(io.StringIO((await client.get(f"{place}/errors")).body.decode())))[1:]
    assert [(error[0], error[2]) for error in errors] == [("5", "comparison-too-slow")]
    assert sizes[0] == 6
    assert 1 in sizes


async def test_an_import_stops_when_its_caller_is_disabled(
    client: Client, client_for: ClientFor, runtime: Runtime, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 10)
    caller = await people.user("Grace Hopper")
    place = (await send(client_for(principal(id=caller)), rows(30))).headers["location"]
    loop = ImportLoop(runtime, IMPORTERS)
    assert await loop.work_chunk()
    await sql(runtime, "update principal_ref set active = false where id = $1", caller)
    await worked_off(runtime)
    job = (await client.get(place)).json
    assert (job["status"], job["reason"], job["done"]) == ("failed", "caller-inactive", 10)
    assert "From row 12 of the file on, nothing was imported." in job["message"]
    assert job["created_by"] == str(caller)


async def test_an_import_stops_when_its_callers_rights_change_however_long_it_waited(
    client: Client, client_for: ClientFor, runtime: Runtime
) -> None:
    caller = principal()
    first = (await send(client_for(caller), rows(3))).headers["location"]
    await sql(
        runtime,
        "insert into revocation (principal_id, not_before) values ($1, $2)",
        caller.id,
        clock.now() + timedelta(seconds=1),
    )
    await worked_off(runtime)
    job = (await client.get(first)).json
    assert (job["status"], job["reason"], job["done"]) == ("failed", "rights-changed", 0)
    assert "Log in again" in job["message"]


async def test_a_revocation_is_remembered_while_an_import_waits(
    client: Client, client_for: ClientFor, runtime: Runtime
) -> None:
    caller = principal()
    place = (await send(client_for(caller), rows(1))).headers["location"]
    for revoked in (caller.id, principal().id):
        await sql(
            runtime, "insert into revocation (principal_id, not_before) values ($1, $2)", revoked, clock.now() + HOUR
        )
    await sql(runtime, FORGET_REVOCATIONS, clock.now() + 2 * HOUR)
    assert await sql(runtime, "select principal_id from revocation") == [(caller.id,)]
    await worked_off(runtime)
    assert (await client.get(place)).json["reason"] == "rights-changed"
    await sql(runtime, FORGET_REVOCATIONS, clock.now() + 2 * HOUR)
    assert await sql(runtime, "select principal_id from revocation") == []


async def test_an_owner_that_may_not_be_chosen_is_forbidden_by_row(
    client_for: ClientFor, runtime: Runtime, people: People
) -> None:
    await people.user("Grace Hopper", email="grace@example.org")
    me = await people.user("Ada Lovelace", email="ada@example.org")
    client = client_for(principal(Depth.ORGANIZATION, id=me, lead="44440"))
    content = "topic,last_name,owner_email\na,One,grace@example.org\nb,Two,\nc,Three,Ada@example.org\nd,Four,no@x.org\n"
    job, errors = await imported(client, runtime, content)
    assert (job["status"], job["done"], job["failed"]) == ("completed", 2, 2)
    assert [error[:3] for error in errors] == [["2", "owner_email", "forbidden"], ["5", "owner_email", "forbidden"]]


async def test_numbers_come_back_as_they_were_and_formulas_do_not(client: Client, runtime: Runtime) -> None:
    cells = ["-5.00", "+4930123456", "-1+cmd|' /C calc'!A0", "=1", "@x", "-", "+1-2", "-1.234,56", "-5%"]
    content = "topic,last_name,email\n" + "".join(f'"{cell}",x,bad\n' for cell in cells)
    _, errors = await imported(client, runtime, content)
    guarded = {"-1+cmd|' /C calc'!A0", "=1", "@x", "-", "+1-2"}
    assert [error[4] for error in errors] == [f"'{cell}" if cell in guarded else cell for cell in cells]


async def test_operators_see_list_and_cancel_every_job(client_for: ClientFor, runtime: Runtime) -> None:
    owner = client_for(principal(Depth.USER))
    places = [(await send(owner, rows(1))).headers["location"] for _ in range(3)]
    operator, reader, stranger = (
        client_for(principal(depth)) for depth in (Depth.ORGANIZATION, "04000", Depth.BUSINESS_UNIT)
    )
    page = (await operator.get(f"{API}/leads/jobs?limit=2")).json
    rest = (await operator.get(f"{API}/leads/jobs?limit=2&after={page['next']}")).json
    ids = [place.rpartition("/")[2] for place in places]
    assert [job["id"] for job in page["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None
    assert (await stranger.get(f"{API}/leads/jobs")).json["items"] == []
    assert (await client_for(principal(Depth.NONE)).get(f"{API}/leads/jobs")).status == 403
    assert (await operator.get(f"{API}/contacts/jobs")).json["items"] == []
    assert (await operator.get(f"{API}/leads/jobs?status=nonsense")).problem == "invalid-parameter"
    assert (await operator.get(f"{API}/leads/jobs?limit=0")).problem == "invalid-parameter"
    assert (await stranger.post(f"{places[0]}/cancel")).problem == "not-found"
    assert (await reader.get(places[0])).status == 200
    assert (await reader.post(f"{places[0]}/cancel")).problem == "forbidden"
    canceled = await operator.post(f"{places[0]}/cancel")
    assert (canceled.json["status"], canceled.json["reason"]) == ("canceled", "canceled-by-operator")
    assert (await owner.post(f"{places[1]}/cancel")).json["reason"] == "canceled"
    assert [job["id"] for job in (await owner.get(f"{API}/leads/jobs?status=queued")).json["items"]] == ids[2:]


async def test_operators_list_and_cancel_from_the_command_line(
    client: Client, runtime: Runtime, database: ServiceDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    place = (await send(client, rows(1))).headers["location"]
    job_id = place.rpartition("/")[2]

    async def crm_imports(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(operations.main, arguments, {"sales": database.url})
        return code, "".join(capsys.readouterr())

    code, told = await crm_imports("list")
    assert (code, told.split()[:4]) == (0, [job_id, "sales", "lead", "queued,"])
    assert (await crm_imports("cancel", job_id)) == (0, "canceled in sales\n")
    assert (await crm_imports("cancel", job_id))[0] == 1
    assert (await crm_imports("list")) == (0, "")
    assert json.loads((await crm_imports("list", "--all", "--json"))[1])["reason"] == "canceled-by-operator"
    assert (await client.get(place)).json["status"] == "canceled"


async def test_a_job_is_canceled_while_a_chunk_of_it_is_in_hand(client: Client, runtime: Runtime) -> None:
    place = (await send(client, rows(5))).headers["location"]
    async with runtime.db.begin() as conn:
        job = await queue.claim(conn, ENTITIES, [])
        assert job is not None
        taken = await queue.take_rows(conn, job, 2)
        assert (await client.post(f"{place}/cancel")).status == 200, "nobody waits for the chunk"
        await queue.finish_chunk(conn, job, taken, Outcome(done=2))
    found = (await client.get(place)).json
    assert (found["status"], found["done"]) == ("canceled", 2), "what was imported is counted"
    await worked_off(runtime)
    await ImportLoop(runtime, IMPORTERS).clean()
    assert await sql(runtime, "select 1 from import_row") == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"import_jobs": 2}, "2 imports waiting"),
        ({"import_rows": 5}, "5 of your rows"),
        ({"import_bytes": 150}, "150 bytes"),
    ],
)
async def test_one_caller_has_room_for_so_much(
    client: Client, client_for: ClientFor, runtime: Runtime, limits: dict[str, int], said: str
) -> None:
    runtime.settings = runtime.settings.model_copy(update=limits)
    answers = [await send(client, rows(2)) for _ in range(4)]
    refused = [answer for answer in answers if answer.status != 202]
    assert [answer.status for answer in answers[:2]] == [202, 202]
    assert (refused[-1].status, refused[-1].problem, refused[-1].headers["retry-after"]) == (
        429,
        "too-many-requests",
        "30",
    )
    assert said in refused[-1].json["detail"]
    assert (await send(client_for(principal()), rows(2))).status == 202, "another caller has room of their own"
    await worked_off(runtime)
    assert (await send(client, rows(2))).status == 202
    [[held]] = await sql(runtime, "select count(*) from import_job")
    assert held == 4 - len(refused) + 2


async def test_a_file_larger_than_all_the_room_is_told_to_come_in_parts(client: Client, runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"import_rows": 5})
    answer = await send(client, rows(6))
    assert (answer.status, answer.problem, answer.json["limit"]) == (413, "body-too-large", 5)
    assert await sql(runtime, "select 1 from import_job") == []


async def test_refused_rows_count_until_they_are_forgotten(client: Client, runtime: Runtime) -> None:
    runtime.settings = runtime.settings.model_copy(update={"import_bytes": 600})
    bad = HEADER + "a,,x,not-an-address,\n" * 8
    await imported(client, runtime, bad)
    answer = await send(client, bad)
    assert (answer.status, answer.problem) == (429, "too-many-requests")
    await sql(runtime, "update import_job set finished_at = finished_at - interval '31 days'")
    await ImportLoop(runtime, IMPORTERS).clean()
    assert await sql(runtime, "select 1 from import_error") == []
    assert (await send(client, bad)).status == 202


async def test_a_dry_run_is_forgotten_after_a_day(client: Client, runtime: Runtime) -> None:
    for dry_run in ("true", "false"):
        await send(client, rows(1), dry_run=dry_run)
    await worked_off(runtime)
    loop, left = (
        ImportLoop(runtime, IMPORTERS),
        "select (options ->> 'dry_run')::bool is true from import_job order by 1",
    )
    await sql(runtime, "update import_job set finished_at = finished_at - interval '23 hours'")
    await loop.clean()
    assert [row[0] for row in await sql(runtime, left)] == [False, True]
    await sql(runtime, "update import_job set finished_at = finished_at - interval '2 hours'")
    await loop.clean()
    assert [row[0] for row in await sql(runtime, left)] == [False]


async def test_files_of_one_caller_are_stored_one_after_the_other(client: Client, runtime: Runtime) -> None:
    answers = await asyncio.gather(*(send(client, rows(50)) for _ in range(6)))
    assert {answer.status for answer in answers} == {202}


async def test_a_file_that_comes_slowly_holds_no_connection(client: Client, runtime: Runtime) -> None:
    go_on = asyncio.Event()
    arriving = asyncio.Event()
    part = b'--x\r\ncontent-disposition: form-data; name="file"; filename="leads.csv"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield part + HEADER.encode()
        arriving.set()
        await go_on.wait()
        yield b"a,,One,,\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x", "idempotency-key": "slow"}
    sending = asyncio.create_task(client.post(f"{API}/leads/import", body=body(), headers=headers))
    await arriving.wait()
    # By now the service has done everything that it does before a body arrives.
    assert (await client.get(f"{API}/leads/jobs")).status == 200
    # An answer may arrive a moment before its connection is given back. One that is held for the file is not given back.
    async with asyncio.timeout(60):
        while runtime.db.engine.pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110  # the pool tells nobody
            await asyncio.sleep(0.01)
    go_on.set()
    assert (await sending).status == 202
