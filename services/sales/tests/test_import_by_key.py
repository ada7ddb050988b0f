"""Imports that change records: what a refused row leaves behind, and what rows of a chunk do together."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.account import AccountUpdated
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import DomainError
from crm_kit.importing.runner import ImportLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, People, principal
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.lead.commands import IMPORTER as LEADS
from crm_sales.lead.model import Lead

from .journey import Sales
from .test_import import imported, send


async def test_a_refused_change_of_a_deal_gives_its_documents_no_customer(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    account = await sales.make("accounts", name="Engines")
    deal = await sales.make("opportunities", name="Fleet")
    quote = (await sales.try_act("opportunities", deal, "quote")).json
    content = (
        "number,account,estimated_value.amount,estimated_value.currency,probability\n"
        f"{deal['number']},Engines,5,NOK,40\n"
    )
    job, errors = await imported(client, runtime, content, to="opportunities", key="number")
    assert (job["status"], job["failed"], [error[2] for error in errors]) == ("completed", 1, ["no-exchange-rate"])
    assert (await sales.get("quotes", quote["id"])) == quote
    assert (await sales.get("opportunities", deal["id"]))["customer"] is None
    content = f"number,account\n{deal['number']},Engines\n"
    job, _ = await imported(client, runtime, content, to="opportunities", key="number")
    assert job["updated"] == 1
    assert (await sales.get("quotes", quote["id"]))["customer"]["id"] == account["id"]


async def test_what_a_refused_row_did_to_other_records_is_dropped(
    client: Client, runtime: Runtime, sales: Sales
) -> None:
    account = await sales.make("accounts", name="Engines")
    leads = [await sales.make("leads", topic=topic, last_name="One") for topic in ("Bad", "Good")]

    async def change(uow: UnitOfWork, lead_id: UUID, _: Any) -> Lead:
        lead = await uow.get(Lead, lead_id, Privilege.WRITE)
        other = await uow.load(Account, UUID(account["id"]))
        other.name = f"Of {lead.topic}"
        uow.emit(other, AccountUpdated)
        if lead.topic == "Bad":
            raise DomainError("validation", "No.")
        return lead

    content = "number,topic\n" + "".join(f"{lead['number']},x\n" for lead in leads)
    place = (await send(client, content, key="number")).headers["location"]
    loop = ImportLoop(runtime, [replace(LEADS, change=change)])
    assert await loop.work_chunk()
    job = (await client.get(place)).json
    assert (job["updated"], job["failed"]) == (1, 1)
    found = await sales.get("accounts", account["id"])
    assert (found["name"], found["version"]) == ("Of Good", 2)


async def test_rows_of_a_chunk_do_not_make_a_circle(client: Client, runtime: Runtime, sales: Sales) -> None:
    one, two = [await sales.make("accounts", name=name) for name in ("One", "Two")]
    content = f"number,parent_account\n{one['number']},{two['number']}\n{two['number']},{one['number']}\n"
    job, errors = await imported(client, runtime, content, to="accounts", key="number")
    assert (job["updated"], [error[:3] for error in errors]) == (1, [["3", "parent_account", "circular-parent"]])
    assert (await sales.get("accounts", one["id"]))["parent_account_id"] == two["id"]
    assert (await sales.get("accounts", two["id"]))["parent_account_id"] is None


async def test_two_spellings_of_an_address_are_one_record(client: Client, runtime: Runtime, sales: Sales) -> None:
    content = "email,last_name\na@münchen.de,One\nA@xn--mnchen-3ya.de,Two\n"
    job, errors = await imported(client, runtime, content, to="contacts", key="email")
    assert (job["done"], job["updated"], errors) == (2, 1, [])
    assert [one["last_name"] for one in await sales.page("contacts")] == ["Two"]


async def test_an_update_does_not_tell_who_has_an_address(
    client: Client,
    client_for: Callable[[Principal | None], Client],
    runtime: Runtime,
    sales: Sales,
    people: People,
) -> None:
    for name in ("ann", "bob"):
        await people.user(name, email=f"{name}@bank.example")
    await imported(client, runtime, "topic,last_name,owner\nCard,One,ann@bank.example\n")
    [lead] = await sales.page("leads")
    names = ("ann@bank.example", "bob@bank.example", "nobody@bank.example")
    content = "number,owner\n" + "".join(f"{lead['number']},{name}\n" for name in names)
    # Changes every lead and assigns none.
    job, errors = await imported(
        client_for(principal(Depth.ORGANIZATION, lead="44400")), runtime, content, key="number"
    )
    assert (job["updated"], [error[2] for error in errors]) == (1, ["owner-differs", "owner-differs"])
    assert errors[0][3] == errors[1][3]
    _, errors = await imported(client, runtime, content, key="number")
    assert [error[2] for error in errors] == ["owner-differs", "unknown-reference"], "who may assign is told"
