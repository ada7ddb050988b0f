"""Imports in the words of people: formats, names, updates by key, dry runs, workbooks, and the list of all imports."""

import io
from collections.abc import Callable

import pytest
from openpyxl import Workbook

from crm_kit.access.privileges import Depth, Principal
from crm_kit.importing.runner import ImportLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, People, counted, principal
from crm_sales.importers import IMPORTERS

from .journey import API, Sales, euros
from .test_import import imported, send, worked_off


async def test_values_are_read_in_the_formats_of_the_file(client: Client, runtime: Runtime, sales: Sales) -> None:
    content = (
        "topic;last_name;budget;estimated_close_date;address.country;website;rating;do_not_email;source\n"
        "A;One;1.234,50;31.12.2026;Deutschland;www.acme.com; Hot;ja;広告\n"
        "B;Two;1,234.50;31.12.2026;;;;;\n"
        "C;Six;5;12/31/2026;Atlantis;;;;\n"
    )
    job, errors = await imported(client, runtime, content, decimal="1.234,56", date="DD.MM.YYYY", currency="EUR")
    assert (job["done"], job["failed"]) == (1, 2)
    assert [error[:3] for error in errors] == [
        ["3", "budget", "decimal-format"],
        ["4", "estimated_close_date", "date-format"],
        ["4", "address.country", "country"],
    ]
    [lead] = await sales.page("leads", "")
    assert (lead["budget"], lead["estimated_close_date"]) == (euros("1234.50"), "2026-12-31")
    assert (lead["address"]["country"], lead["website"], lead["rating"]) == ("DE", "https://www.acme.com", "hot")
    assert (lead["do_not_email"], lead["source"]) == (True, "advertisement")


@pytest.mark.parametrize(("field", "value"), [("decimal", "1.234.56"), ("date", "D.M.YY"), ("currency", "XXX")])
async def test_a_format_that_does_not_exist_is_refused(client: Client, field: str, value: str) -> None:
    answer = await send(client, "topic,last_name\na,b\n", **{field: value})
    assert (answer.status, answer.problem) == (422, "validation")


async def test_references_are_named_by_number_address_or_name(
    client: Client, runtime: Runtime, sales: Sales, people: People
) -> None:
    await people.user("Ann Bank", email="ann@bank.example")
    acme = await sales.make("accounts", name="ACME GmbH", email="info@acme.example")
    ada = await sales.make("contacts", last_name="Lovelace", email="ada@example.org")
    for _ in range(2):
        await sales.make("accounts", name="Twins")
    content = (
        "name,account,contact,owner\n"
        "A,ACME GmbH,,ann@bank.example\n"
        f"B,{acme['number']},,Ann Bank\n"
        "C,,ADA@example.org,\n"
        f"D,{acme['id']},,\n"
        "E,Twins,,\n"
        "F,Nobody,,\n"
        "G,,,Nobody\n"
        "H,ACME GmbH,Lovelace,\n"
    )
    job, errors = await imported(client, runtime, content, to="opportunities")
    assert (job["done"], job["failed"]) == (4, 4)
    assert [error[:3] for error in errors] == [
        ["6", "account", "ambiguous-reference"],
        ["7", "account", "unknown-reference"],
        ["8", "owner", "unknown-reference"],
        ["9", "account", "contradiction"],
    ]
    deals = await sales.page("opportunities", "sort=name")
    assert [deal["customer"]["id"] for deal in deals] == [acme["id"], acme["id"], ada["id"], acme["id"]]
    assert [deal["owner_name"] for deal in deals[:2]] == ["Ann Bank", "Ann Bank"]


async def test_a_chunk_asks_once_for_what_its_rows_name(client: Client, runtime: Runtime, sales: Sales) -> None:
    for n in range(20):
        await sales.make("accounts", name=f"Company {n}")

    async def statements(rows: int) -> int:
        content = "last_name,account\n" + "".join(f"Person {n},Company {n}\n" for n in range(rows))
        await send(client, content, to="contacts")
        with counted(runtime.db) as sent:
            await ImportLoop(runtime, IMPORTERS).work_chunk()
        await worked_off(runtime)
        return len(sent)

    await statements(1)  # draws numbers
    assert await statements(20) == await statements(1)
    contacts = await sales.page("contacts", "sort=created_at&limit=50")
    assert all(contact["account_id"] is not None for contact in contacts)


async def test_an_owner_that_several_are_called_is_named_by_address(
    client: Client, runtime: Runtime, sales: Sales, people: People
) -> None:
    for address in ("one@bank.example", "jürgen@bänk.example"):
        await people.user("Same Name", email=address)
    content = "topic,last_name,owner\nA,One,Same Name\nB,Two,ONE@Bank.example\nC,Six,jürgen@BÄNK.example\n"
    job, errors = await imported(client, runtime, content)
    assert (job["done"], [error[:3] for error in errors]) == (2, [["2", "owner", "ambiguous-reference"]])
    assert {lead["owner_name"] for lead in await sales.page("leads", "")} == {"Same Name"}


async def test_nobody_learns_by_a_name_what_they_may_not_read(
    client: Client,
    client_for: Callable[[Principal | None], Client],
    runtime: Runtime,
    sales: Sales,
) -> None:
    await sales.make("accounts", name="Secret AG")
    other = client_for(principal(Depth.USER))
    _, errors = await imported(other, runtime, "last_name,account\nX,Secret AG\nY,Unknown AG\n", to="contacts")
    assert [error[1:3] for error in errors] == [["account", "unknown-reference"]] * 2
    assert errors[0][3] == errors[1][3]


async def test_rows_change_the_records_that_have_their_key(client: Client, runtime: Runtime, sales: Sales) -> None:
    lead = await sales.make(
        "leads",
        topic="Card",
        last_name="Lovelace",
        job_title="Countess",
        email="ada@example.org",
        address={"city": "London", "country": "GB"},
        budget=euros("5.00"),
    )
    content = (
        "number,rating,job_title,address.city,budget\n"
        f"{lead['number']},hot,,Ockham,\n"
        "LEA-99999,hot,,,\n"
        ",hot,,,\n"
        f"{lead['number']},cold,,,7.00\n"
    )
    job, errors = await imported(client, runtime, content, key="number", currency="EUR")
    assert (job["done"], job["updated"], job["failed"]) == (2, 2, 2)
    assert [error[:3] for error in errors] == [["3", "number", "unknown-reference"], ["4", "number", "missing"]]
    changed = await sales.get("leads", lead["id"])
    assert (changed["version"], changed["rating"], changed["job_title"]) == (3, "cold", "Countess")
    assert changed["address"]["city"] == "Ockham"
    assert (changed["address"]["country"], changed["budget"]) == ("GB", euros("7.00"))
    assert (await sales.facts())[-2:] == ["lead.updated", "lead.updated"]


async def test_empty_cells_clear_only_if_the_form_says_so(client: Client, runtime: Runtime, sales: Sales) -> None:
    lead = await sales.make(
        "leads",
        topic="Card",
        last_name="Lovelace",
        job_title="Countess",
        address={"city": "London", "country": "GB"},
        budget=euros("5.00"),
    )
    content = f"number,topic,job_title,address.city,budget.amount\n{lead['number']},Plan,,,\n"
    job, errors = await imported(client, runtime, content, key="number", empty="clear", currency="EUR")
    assert (job["updated"], errors) == (1, [])
    changed = await sales.get("leads", lead["id"])
    assert (changed["topic"], changed["job_title"], changed["budget"]) == ("Plan", None, None)
    assert (changed["address"]["city"], changed["address"]["country"]) == (None, "GB")


async def test_an_address_is_a_key_of_one_record_and_makes_a_record_that_does_not_exist(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    known = await sales.make("contacts", last_name="Lovelace", email="ada@example.org")
    for _ in range(2):
        await sales.make("contacts", last_name="Twin", email="twin@example.org")
    content = "email,last_name\nADA@example.org,King\ntwin@example.org,Other\nnew@example.org,New\n"
    job, errors = await imported(client, runtime, content, to="contacts", key="email")
    assert (job["done"], job["updated"], job["failed"]) == (2, 1, 1)
    assert [error[:3] for error in errors] == [["3", "email", "ambiguous-reference"]]
    assert (await sales.get("contacts", known["id"]))["last_name"] == "King"
    assert {one["last_name"] for one in await sales.page("contacts", "")} == {"King", "Twin", "New"}


async def test_an_update_needs_write_on_its_record(
    client: Client, client_for: Callable[[Principal | None], Client], runtime: Runtime, sales: Sales
) -> None:
    lead = await sales.make("leads", topic="Card", last_name="Lovelace")
    # Creates and reads everything, and changes its own.
    other = client_for(principal(Depth.ORGANIZATION, lead="44100"))
    content = f"number,topic\n{lead['number']},Taken\n"
    job, errors = await imported(other, runtime, content, key="number")
    assert (job["failed"], [error[2] for error in errors]) == (1, ["forbidden"])
    assert (await sales.get("leads", lead["id"]))["topic"] == "Card"


async def test_a_key_that_the_entity_or_the_file_lacks_is_refused(client: Client) -> None:
    for to, content, key in (
        ("opportunities", "name,email\na,b\n", "email"),
        ("leads", "topic,last_name\na,b\n", "number"),
    ):
        answer = await send(client, content, to=to, key=key)
        assert (answer.status, answer.problem) == (422, "invalid-mapping")
        assert answer.json["errors"][0]["pointer"] == "/key"


async def test_a_dry_run_shows_what_would_be_and_writes_nothing(client: Client, runtime: Runtime, sales: Sales) -> None:
    known = await sales.make("accounts", name="Known", number="A-1")
    events = await sales.events()
    rows = "".join(f"Company {n},,N-{n}\n" for n in range(30))
    content = f"name,website,number\nNew,www.new.example,\nBad,no url,\nTaken,,A-1\n{rows}"
    accepted = await send(client, content, "accounts.csv", "accounts", dry_run="true")
    assert (accepted.status, accepted.json["dry_run"]) == (202, True)
    await worked_off(runtime)
    job = (await client.get(accepted.headers["location"])).json
    assert (job["status"], job["done"], job["failed"]) == ("completed", 31, 2)
    assert [row["row"] for row in job["preview"]] == list(range(2, 22))
    assert [row["action"] for row in job["preview"][:4]] == ["create", "refuse", "refuse", "create"]
    new = job["preview"][0]["record"]
    assert (new["name"], new["website"], new["id"], new["number"]) == ("New", "https://www.new.example", None, None)
    assert job["preview"][3]["record"]["number"] == "N-0"
    errors = (await client.get(accepted.headers["location"] + "/errors")).body.decode()
    assert "3,website,url" in errors
    assert "4,number,already-exists" in errors
    assert [one["id"] for one in await sales.page("accounts", "")] == [known["id"]]
    assert await sales.events() == events
    assert (await client.get(f"{API}/accounts/jobs")).json["items"][0]["preview"] is None


async def test_a_dry_run_of_an_update_shows_the_record_as_it_would_be(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    lead = await sales.make("leads", topic="Card", last_name="Lovelace")
    content = f"number,topic\n{lead['number']},Plan\n"
    accepted = await send(client, content, key="number", dry_run="true")
    await worked_off(runtime)
    [row] = (await client.get(accepted.headers["location"])).json["preview"]
    assert (row["action"], row["record"]["id"], row["record"]["topic"]) == ("update", lead["id"], "Plan")
    assert await sales.get("leads", lead["id"]) == lead


async def test_a_dry_run_names_nothing_that_the_caller_may_not_read(
    client: Client, client_for: Callable[[Principal | None], Client], runtime: Runtime, sales: Sales
) -> None:
    account = await sales.make("accounts", name="Secret AG")
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "account", "id": account["id"]})
    other = client_for(principal(Depth.ORGANIZATION, account=Depth.USER))
    for caller, name in ((client, "Secret AG"), (other, None)):
        content = f"number,rating\n{deal['number']},hot\n"
        accepted = await send(caller, content, to="opportunities", key="number", dry_run="true")
        await worked_off(runtime)
        [row] = (await caller.get(accepted.headers["location"])).json["preview"]
        assert (row["record"]["rating"], row["record"]["customer"]["name"]) == ("hot", name)


async def test_a_workbook_is_imported_like_a_text(client: Client, runtime: Runtime, sales: Sales) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["nothing"])
    sheet = book.create_sheet("Deals")
    sheet.append(["name", "estimated_value", "probability", "note"])
    sheet.append(["Fleet", 1200.5, 0.25, None])
    sheet["C2"].number_format = "0%"
    sheet.append(["Bad", "#N/A", None, None])
    file = io.BytesIO()
    book.save(file)
    job, errors = await imported(
        client,
        runtime,
        file.getvalue(),
        name="deals.xlsx",
        to="opportunities",
        sheet="Deals",
        currency="EUR",
        decimal="1.234,56",
    )
    assert (job["done"], [error[:3] for error in errors]) == (1, [["3", "estimated_value", "spreadsheet-error"]])
    [deal] = await sales.page("opportunities", "")
    assert (deal["name"], deal["estimated_value"], deal["probability"]) == ("Fleet", euros("1200.50"), 25)


async def test_imports_of_all_kinds_are_listed_to_who_sent_them_and_who_may_read_all(
    client: Client, client_for: Callable[[Principal | None], Client], runtime: Runtime
) -> None:
    mine = client_for(principal(Depth.BUSINESS_UNIT))
    for who, to, content in (
        (mine, "leads", "topic,last_name\na,b\n"),
        (client, "accounts", "name\nEngines\n"),
        (mine, "contacts", "last_name\nb\n"),
    ):
        assert (await send(who, content, to=to)).status == 202

    async def listed(who: Client, query: str = "") -> list[str]:
        page = (await who.get(f"{API}/imports?{query}")).json
        return [job["entity"] for job in page["items"]]

    assert await listed(mine) == ["contact", "lead"]
    assert await listed(client) == ["contact", "account", "lead"]
    assert await listed(client, "entity=account&status=queued") == ["account"]
    assert await listed(client, "status=completed") == []
    first = (await client.get(f"{API}/imports?limit=2")).json
    assert await listed(client, f"limit=2&after={first['next']}") == ["lead"]
    [job, _] = (await mine.get(f"{API}/imports")).json["items"]
    assert (await mine.get(job["href"])).json["id"] == job["id"]
