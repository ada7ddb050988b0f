"""Import: every row becomes one record or one reported error, whatever the file contains."""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.importing import queue, runner
from crm_kit.importing.queue import StoredRow
from crm_kit.importing.runner import ImportLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, People, counted, principal
from crm_sales.importers import IMPORTERS

from .journey import API, Sales, euros

HEADER = "topic,first_name,last_name,email,phone\n"


async def send(
    client: Client, content: bytes | str, name: str = "leads.csv", to: str = "leads", **fields: str
) -> Answer:
    query = f"?dry_run={dry_run}" if (dry_run := fields.pop("dry_run", None)) else ""
    form = aiohttp.FormData(fields)
    form.add_field("file", content.encode() if isinstance(content, str) else content, filename=name)
    return await client.post(f"{API}/{to}/import{query}", body=form)


async def worked_off(runtime: Runtime) -> None:
    loop = ImportLoop(runtime, IMPORTERS)
    while await loop.work_chunk():
        pass


async def imported(
    client: Client, runtime: Runtime, content: bytes | str, **more: str
) -> tuple[dict[str, Any], list[list[str]]]:
    """Return the finished job, and its errors without their header."""
    accepted = await send(client, content, **more)
    assert accepted.status == 202, accepted.body
    await worked_off(runtime)
    job = await client.get(accepted.headers["location"])
    errors = await client.get(accepted.headers["location"] + "/errors")
    return job.json, list(csv.reader(io.StringIO(errors.body.decode())))[1:]


async def test_a_row_names_a_record_that_a_row_above_it_makes(client: Client, runtime: Runtime, sales: Sales) -> None:
    """Each by its name or its number, also if the row above was itself made below another one."""
    content = (
        "name,number,parent_account\nHolding,H-1,\nNorth,N-1,Holding\nSouth,,H-1\nHamburg,,N-1\nEarly,,Late\nLate,,\n"
    )
    job, errors = await imported(client, runtime, content, name="accounts.csv", to="accounts")
    assert (job["done"], [error[:3] for error in errors]) == (5, [["6", "parent_account", "unknown-reference"]])
    accounts = await sales.page("accounts", "")
    names = {one["id"]: one["name"] for one in accounts}
    below = {one["name"]: names.get(one["parent_account_id"]) for one in accounts}
    assert below == {"Holding": None, "North": "Holding", "South": "Holding", "Hamburg": "North", "Late": None}


async def test_two_lanes_keep_a_row_behind_the_one_that_it_names(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    between = "".join(f"Account {number},\n" for number in range(600))
    content = f"name,parent_account\nRoot,\n{between}Child,Root\n"
    accepted = await send(client, content, name="accounts.csv", to="accounts", duplicates="allow")
    loop = ImportLoop(runtime, IMPORTERS)
    assert any(await asyncio.gather(loop.work_chunk(), loop.work_chunk()))
    await worked_off(runtime)
    job = (await client.get(accepted.headers["location"])).json
    assert (job["status"], job["done"], job["failed"]) == ("completed", 602, 0)
    [child], [root] = [await sales.page("accounts", f"name={name}") for name in ("Child", "Root")]
    assert child["parent_account_id"] == root["id"]


async def test_rows_that_name_rows_above_are_not_read_again_and_again(
    client: Client, runtime: Runtime, sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = "".join(f"Group {number},\nShop {number},Group {number}\n" for number in range(40))
    accepted = await send(
        client, "name,parent_account\n" + pairs, name="accounts.csv", to="accounts", duplicates="allow"
    )
    taken, take = 0, queue.take_rows

    async def counting(*given: Any) -> list[StoredRow]:
        nonlocal taken
        rows = await take(*given)
        taken += len(rows)
        return rows

    monkeypatch.setattr(queue, "take_rows", counting)
    await worked_off(runtime)
    job = (await client.get(accepted.headers["location"])).json
    assert (job["done"], job["failed"]) == (80, 0)
    assert taken < 80 * 8, "each chunk would read all rows that are left"


async def test_rows_become_records_with_their_events(client: Client, runtime: Runtime, sales: Sales) -> None:
    job, errors = await imported(
        client, runtime, HEADER + "Card,Ada,Lovelace,ada@example.org,+4930123456\nPlan,,王,,\n"
    )
    assert (job["status"], job["total"], job["done"], job["failed"], errors) == ("completed", 2, 2, 0, [])
    assert job["started_at"] is not None
    leads = await sales.page("leads", "sort=last_name")
    assert [(lead["last_name"], lead["phone"]) for lead in leads] == [("Lovelace", "+4930123456"), ("王", None)]
    assert await sales.facts() == ["lead.created", "lead.created"]


async def test_a_mapping_names_columns_parts_and_constants(client: Client, runtime: Runtime, sales: Sales) -> None:
    mapping = {
        "Name": "last_name",
        "Wert": "estimated_value.amount",
        "=EUR": "estimated_value.currency",
        "Ort": "address.city",
        "Kein Anruf": "do_not_phone",
        "=Kampagne": "topic",
    }
    content = "Name;Wert;Ort;Kein Anruf;Rest\r\nSatō;1200,50;東京;maybe;x\r\nHopper;1200.50;New York;ja;y\r\n"
    job, errors = await imported(client, runtime, content, mapping=json.dumps(mapping))
    assert (job["done"], job["failed"]) == (1, 1)
    assert [error[1:3] for error in errors] == [["Wert", "decimal-format"]]
    [lead] = await sales.page("leads")
    assert lead["topic"] == "Kampagne"
    assert lead["estimated_value"] == {"amount": "1200.50", "currency": "EUR"}
    assert (lead["address"]["city"], lead["do_not_phone"]) == ("New York", True)


async def test_a_constant_part_goes_with_the_column_beside_it(client: Client, runtime: Runtime, sales: Sales) -> None:
    mapping = {"Name": "name", "Wert": "estimated_value.amount", "=EUR": "estimated_value.currency"}
    content = "Name,Wert\nWith,5.00\nWithout,\n"
    job, errors = await imported(client, runtime, content, to="opportunities", mapping=json.dumps(mapping))
    assert (job["done"], errors) == (2, [])
    deals = await sales.page("opportunities", "sort=name")
    assert [deal["estimated_value"] for deal in deals] == [{"amount": "5.00", "currency": "EUR"}, None]


async def test_a_part_that_no_column_feeds_is_named(client: Client, runtime: Runtime) -> None:
    mapping = {"Name": "name", "Wert": "estimated_value.amount"}
    _, errors = await imported(
        client, runtime, "Name,Wert\nCards,5.00\n", to="opportunities", mapping=json.dumps(mapping)
    )
    assert [error[1:4] for error in errors] == [["Wert", "missing", "estimated_value.currency is required too."]]


async def test_an_error_in_a_part_is_shown_at_the_column_of_that_part(client: Client, runtime: Runtime) -> None:
    header = "topic,last_name,address.city,address.country\n"
    _, errors = await imported(client, runtime, header + "Card,Ada,London,Atlantis\n")
    assert [error[1] for error in errors] == ["address.country"]
    mapping = {
        "topic": "topic",
        "last_name": "last_name",
        "address.city": "address.city",
        "=Atlantis": "address.country",
    }
    _, errors = await imported(client, runtime, header + "Card,Ada,London,\n", mapping=json.dumps(mapping))
    assert [error[1] for error in errors] == ["address.country"], "a constant has no column"


async def test_a_row_whose_values_may_be_shifted_is_refused_and_the_others_are_imported(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    content = (
        'topic,company_name,last_name,job_title\nDeal,Acme, Inc,Miller,CEO\nDeal,Acme\nDeal,"Acme, Inc",Miller,CEO\n'
    )
    job, errors = await imported(client, runtime, content)
    assert (job["done"], job["failed"]) == (1, 2)
    assert [(error[0], error[2]) for error in errors] == [
        ("2", "wrong-number-of-cells"),
        ("3", "wrong-number-of-cells"),
    ]
    assert [lead["company_name"] for lead in await sales.page("leads", "")] == ["Acme, Inc"]


async def test_a_cell_under_no_name_refuses_its_row(client: Client, runtime: Runtime) -> None:
    job, errors = await imported(client, runtime, "topic,last_name,\nCard,One,\nCard,Two,lost\n")
    assert (job["done"], job["failed"]) == (1, 1)
    assert (errors[0][0], errors[0][2]) == ("3", "unnamed-column")


@pytest.mark.parametrize(
    ("content", "name", "slug"),
    [
        ("Thema,Name\nKarte,Ada\n", "f.csv", "invalid-mapping"),
        ("topic,last_name\n", "f.csv", "unreadable-file"),
        ('{"topic":"a","last_name":{"first":"b"}}\n', "f.ndjson", "invalid-mapping"),
        ('topic,last_name\nCard,"Ada\n', "f.csv", "unreadable-file"),
    ],
)
async def test_a_file_of_which_nothing_or_not_all_is_understood_is_refused(
    client: Client, runtime: Runtime, content: str, name: str, slug: str
) -> None:
    answer = await send(client, content, name)
    assert (answer.status, answer.problem) == (422, slug)
    assert (await client.get("/api/v1/leads/jobs")).json["items"] == []


async def test_objects_and_members_of_later_lines_are_imported(client: Client, runtime: Runtime, sales: Sales) -> None:
    lines = [
        {"topic": "A", "last_name": "One"},
        {"topic": "B", "last_name": "Two", "email": "x@nd.example", "address": {"city": "Potsdam", "country": "DE"}},
        {"topic": "C", "last_name": "Six", "estimated_value": euros("7.50"), "address": None},
    ]
    job, errors = await imported(client, runtime, "\n".join(json.dumps(line) for line in lines), name="leads.ndjson")
    assert (job["done"], errors) == (3, [])
    one, six, two = await sales.page("leads", "sort=last_name")
    assert (one["email"], two["email"], two["address"]["city"]) == (None, "x@nd.example", "Potsdam")
    assert six["estimated_value"] == euros("7.50")


async def test_a_line_break_in_a_text_of_one_line_refuses_its_row_at_its_column(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    content = 'Name,Stadt\n"ACME\nGmbH",Wien\nBeta,"Graz\tWest"\nGamma,Linz\n'
    mapping = json.dumps({"Name": "name", "Stadt": "billing_address.city"})
    job, errors = await imported(client, runtime, content, to="accounts", mapping=mapping)
    assert (job["done"], job["failed"]) == (1, 2)
    assert [(error[1], error[2]) for error in errors] == [
        ("Name", "control-characters"),
        ("Stadt", "control-characters"),
    ]
    assert [account["name"] for account in await sales.page("accounts")] == ["Gamma"]


async def test_a_number_that_another_account_has_refuses_its_row_at_its_column(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    await sales.make("accounts", name="First", number="A-1")
    content = "Name,No\nSecond,A-1\nThird,A-2\nFourth,A-2\n"
    mapping = json.dumps({"Name": "name", "No": "number"})
    job, errors = await imported(client, runtime, content, to="accounts", mapping=mapping)
    assert (job["status"], job["done"], job["failed"]) == ("completed", 1, 2)
    assert [error[:3] for error in errors] == [["2", "No", "already-exists"], ["4", "No", "already-exists"]]


async def test_a_file_in_another_encoding_is_imported(client: Client, runtime: Runtime, sales: Sales) -> None:
    content = "topic,last_name\nカード,髙橋\n".encode("cp932")
    job, errors = await imported(client, runtime, content, encoding="shift_jis")
    assert (job["done"], errors) == (1, [])
    assert [lead["last_name"] for lead in await sales.page("leads", "")] == ["髙橋"]
    assert (await send(client, content)).problem == "unreadable-file"


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (
            '{"topic":"a","last_name":"b","address":{"city":"Bonn"},"address.city":"Berlin"}',
            "two values for address.city",
        ),
        ('{"topic":"a","last_name":"b","description":["R&D; sales"]}', "semicolon"),
        ('{"topic":"a","last_name":"b","description":123456789012345678901234}', "not exact"),
    ],
)
async def test_a_value_that_would_change_on_its_way_refuses_the_file(client: Client, line: str, detail: str) -> None:
    answer = await send(client, line, "f.ndjson")
    assert (answer.status, answer.problem) == (422, "unreadable-file")
    assert detail in answer.json["detail"]


async def test_a_member_that_is_always_null_is_a_column_too(client: Client, runtime: Runtime) -> None:
    content = '{"topic":"a","last_name":"b","phone":null,"address":null}\n'
    mapping = json.dumps({"topic": "topic", "last_name": "last_name", "phone": "phone"})
    for fields in ({}, {"mapping": mapping}):
        job, errors = await imported(client, runtime, content, name="f.ndjson", **fields)
        assert (job["done"], errors) == (1, [])


async def test_what_stands_for_a_whole_of_parts_or_contradicts_itself_refuses_its_row(
    client: Client, runtime: Runtime
) -> None:
    job, errors = await imported(client, runtime, "topic,last_name,address\na,One,Bonn\na,Two,\n")
    assert (job["done"], [error[:3] for error in errors]) == (1, [["2", "address", "invalid-value"]])
    mapping = json.dumps({"topic": "topic", "Name": "last_name", "Surname": "last_name"})
    content = "topic,Name,Surname\na,One,One\na,Two,\na,Six,Ten\n"
    job, errors = await imported(client, runtime, content, mapping=mapping)
    assert (job["done"], [error[:3] for error in errors]) == (2, [["4", "Name", "contradiction"]])


async def test_an_amount_that_may_mean_thousands_is_refused(client: Client, runtime: Runtime) -> None:
    header = "topic,last_name,estimated_value.amount,estimated_value.currency\n"
    job, errors = await imported(client, runtime, header + "a,One,1.200,EUR\nb,Two,12.500,EUR\nc,Six,1200.50,EUR\n")
    assert (job["done"], job["failed"]) == (1, 2)
    assert {error[1] for error in errors} == {"estimated_value.amount"}


async def test_ndjson_is_read_like_csv(client: Client, runtime: Runtime, sales: Sales) -> None:
    lines = [{"topic": "A", "last_name": "One"}, {"topic": "B", "last_name": "Two", "do_not_email": True}]
    first = {"topic": "A", "last_name": "One", "do_not_email": None}
    content = "\n".join(json.dumps(line) for line in [first, lines[1]])
    job, _ = await imported(client, runtime, content, name="leads.ndjson")
    assert job["done"] == 2
    assert [lead["do_not_email"] for lead in await sales.page("leads", "sort=last_name")] == [False, True]


async def test_refused_rows_come_back_with_their_place_and_reason(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    content = HEADER + "Card,Ada,Lovelace,not-an-address,\n,Ada,Lovelace,,\nCard,Ada,,,\nCard,=cmd(),Fine,,123\n"
    job, errors = await imported(client, runtime, content)
    assert (job["done"], job["failed"]) == (0, 4)
    assert [(row[0], row[1], row[2]) for row in errors] == [
        ("2", "email", "email"),
        ("3", "topic", "missing"),
        ("4", "last_name", "name-required"),
        ("5", "phone", "invalid-phone"),
    ]
    assert errors[0][4:] == ["Card", "Ada", "Lovelace", "not-an-address", ""]
    assert errors[3][5] == "'=cmd()", "a spreadsheet must not run what somebody imported"
    assert await sales.page("leads") == []


@pytest.mark.parametrize(
    ("content", "slug"),
    [
        (b"", "unreadable-file"),
        (b"\xff\xfe", "unreadable-file"),
        (b"topic,topic\nx,y\n", "unreadable-file"),
        (b"topic,last_name\nx,\xe9\n", "unreadable-file"),
    ],
)
async def test_an_unreadable_file_stores_nothing(client: Client, runtime: Runtime, content: bytes, slug: str) -> None:
    answer = await send(client, content)
    assert (answer.status, answer.problem) == (422, slug)
    async with runtime.db.autocommit() as conn:
        jobs = await conn.exec_driver_sql("select count(*) from import_job")
        assert jobs.scalar_one() == 0


@pytest.mark.parametrize(
    ("mapping", "pointer"),
    [
        ("[]", "/mapping"),
        ('{"topic": "nonsense"}', "/mapping/topic"),
        ('{"absent": "topic"}', "/mapping/absent"),
        ('{"topic": "address"}', "/mapping/topic"),
    ],
)
async def test_a_wrong_mapping_is_refused_at_once(client: Client, mapping: str, pointer: str) -> None:
    answer = await send(client, HEADER + "a,b,c,,\n", mapping=mapping)
    assert (answer.status, answer.problem) == (422, "invalid-mapping")
    assert answer.json["errors"][0]["pointer"] == pointer


async def test_duplicates_are_skipped_or_reported_as_asked(client: Client, runtime: Runtime, sales: Sales) -> None:
    await sales.make("leads", topic="Card", last_name="Lovelace", email="ada@example.org")
    content = HEADER + "a,,One,ada@example.org,\nb,,Two,two@example.org,\nc,,Three,two@example.org,\n"
    job, errors = await imported(client, runtime, content, duplicates="skip")
    assert (job["done"], job["skipped"], job["failed"]) == (1, 2, 0)
    assert [(row[0], row[1], row[2]) for row in errors] == [
        ("2", "email", "possible-duplicate"),
        ("4", "email", "possible-duplicate"),
    ]
    job, errors = await imported(client, runtime, content, duplicates="report")
    assert (job["done"], job["skipped"], len(errors)) == (3, 0, 3)


async def test_similar_names_are_duplicates_too_and_those_of_contacts(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    await sales.make("contacts", first_name="Ada", last_name="Lovelace", mobile_phone="+4930123456")
    await sales.make("accounts", name="Analytical Engines Ltd")
    content = (
        "topic,first_name,last_name,company_name,email,phone\n"
        "a,Ada,Lovelance,,,\n"
        "b,,Byron,,,+49 30 123456\n"
        "c,,,Analytical Engine Ltd.,,\n"
        "d,,Hopper,Analytical Engines Ltd,GRACE@example.org,\n"
        "e,Grace,Hoper,,grace@EXAMPLE.org,\n"
    )
    job, errors = await imported(client, runtime, content, duplicates="skip")
    assert [(row[0], row[1], row[2]) for row in errors] == [
        ("2", "last_name", "possible-duplicate"),
        ("3", "phone", "possible-duplicate"),
        ("4", "company_name", "possible-duplicate"),
        ("6", "email", "possible-duplicate"),
    ]
    assert (job["done"], job["skipped"], job["failed"]) == (1, 4, 0)
    assert [lead["last_name"] for lead in await sales.page("leads")] == ["Hopper"]


async def test_a_row_like_one_that_was_left_out_is_judged_by_itself(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    await sales.make("leads", topic="Card", last_name="Lovelace", email="ada@example.org")
    content = HEADER + "a,,Byron,ada@example.org,+4930123456\nb,,Hopper,,+4930123456\n"
    job, errors = await imported(client, runtime, content, duplicates="skip")
    assert (job["done"], job["skipped"], [row[0] for row in errors]) == (1, 1, ["2"])
    assert [lead["last_name"] for lead in await sales.page("leads", "sort=created_at")] == ["Lovelace", "Hopper"]


async def test_duplicates_are_found_across_chunks(
    client: Client, runtime: Runtime, sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHECKED_CHUNK", 2)
    content = "name\nAnalytical Engines\nDifference & Co\nCards of Byron\nAnalytical Engine\n"
    accepted = await send(client, content, to="accounts", name="accounts.csv", duplicates="skip")
    await worked_off(runtime)
    job = await client.get(accepted.headers["location"])
    assert (job.json["done"], job.json["skipped"]) == (3, 1)
    assert {one["name"] for one in await sales.page("accounts")} == {
        "Analytical Engines",
        "Difference & Co",
        "Cards of Byron",
    }


@pytest.mark.parametrize(("duplicates", "statements"), [("allow", 0), ("report", 2)])
async def test_a_chunk_is_compared_in_two_statements_and_only_when_asked(
    client: Client, runtime: Runtime, duplicates: str, statements: int
) -> None:
    rows = "".join(f"a,Ada,Lovelace {n},ada{n}@example.org,\n" for n in range(20))
    await send(client, HEADER + rows, duplicates=duplicates)
    with counted(runtime.db) as sent:
        await ImportLoop(runtime, IMPORTERS).work_chunk()
    assert sum("unnest" in statement and " % " in statement for statement in sent) == statements, sent


async def test_rows_are_given_to_the_owner_they_name(
    client: Client, runtime: Runtime, sales: Sales, people: People
) -> None:
    grace = await people.user("Grace Hopper", email="grace@example.org")
    content = "topic,last_name,owner_email\na,One,Grace@example.org\nb,Two,nobody@example.org\n"
    job, errors = await imported(client, runtime, content)
    assert (job["done"], job["failed"], errors[0][1]) == (1, 1, "owner_email")
    [lead] = await sales.page("leads")
    assert (lead["owner_id"], lead["owner_name"]) == (str(grace), "Grace Hopper")


async def test_the_same_key_and_file_are_one_job(client: Client) -> None:
    form = {"headers": {"Idempotency-Key": "monday"}}

    async def post(content: str) -> Answer:
        data = aiohttp.FormData()
        data.add_field("file", content.encode(), filename="leads.csv")
        return await client.post(f"{API}/leads/import", body=data, **form)

    first, again = await post(HEADER + "a,,One,,\n"), await post(HEADER + "a,,One,,\n")
    assert (first.status, again.status) == (202, 202)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = await post(HEADER + "a,,Two,,\n")
    assert (other.status, other.problem) == (422, "idempotency-key-reused")


async def test_a_canceled_job_imports_nothing_more(client: Client, runtime: Runtime, sales: Sales) -> None:
    accepted = await send(client, HEADER + "a,,One,,\n")
    place = accepted.headers["location"]
    canceled = await client.post(f"{place}/cancel")
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    await worked_off(runtime)
    assert await sales.page("leads") == []
    again = await client.post(f"{place}/cancel")
    assert (again.status, again.problem) == (409, "illegal-transition")


async def test_a_job_is_seen_by_whoever_started_it(
    client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    place = (await send(client, HEADER + "a,,One,,\n")).headers["location"]
    stranger = await client_for(principal(Depth.BUSINESS_UNIT)).get(place)
    assert (stranger.status, stranger.problem) == (404, "not-found")


async def test_importing_needs_the_right_to_create(client_for: Callable[[Principal | None], Client]) -> None:
    answer = await send(client_for(principal(Depth.NONE, lead="04000")), HEADER + "a,,One,,\n")
    assert (answer.status, answer.problem) == (403, "forbidden")


async def test_contacts_and_accounts_are_imported_alike(client: Client, runtime: Runtime, sales: Sales) -> None:
    for collection, content in (("contacts", "first_name,last_name\nAda,Lovelace\n"), ("accounts", "name\nEngines\n")):
        accepted = await send(client, content, to=collection)
        await worked_off(runtime)
        job = await client.get(accepted.headers["location"])
        assert (job.json["done"], job.json["failed"]) == (1, 0)
    assert [one["full_name"] for one in await sales.page("contacts")] == ["Ada Lovelace"]
    assert [one["name"] for one in await sales.page("accounts")] == ["Engines"]
