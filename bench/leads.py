"""Leads that exist before a scene begins, inserted directly, together with the positions of consumers."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import asyncpg

from bench.ceilings.apps import LEAD_COLUMNS
from bench.data import Person, fill
from bench.suite import Suite
from crm_kit.network.postgres import Target

API = "/api/v1"


async def connect(url: str) -> asyncpg.Connection:
    connection: asyncpg.Connection = await Target.of(url).connect("bench")
    await connection.execute("set statement_timeout = 0")
    return connection


async def fill_leads(url: str, owners: Sequence[str], unit: str, count: int, *, strangers: bool = False) -> list[str]:
    """Insert leads by COPY, with owners in turn.

    ``strangers`` have unique names, so that qualifying them finds no duplicates.
    """
    connection = await connect(url)
    try:
        known = {row[0] for row in await connection.fetch(COLUMNS_OF_LEAD)}
        columns: dict[str, Any] = {name: make for name, make in LEAD_COLUMNS.items() if name in known}
        columns |= {
            "number": lambda p: f"BEN-{p.index}",
            "owner_id": lambda p: owners[p.index % len(owners)],
            "business_unit_id": lambda p: unit,
            "created_by": lambda p: owners[0],
            "modified_by": lambda p: owners[0],
            "address": address_of,
            "estimated_value_base_currency": lambda p: "EUR",
            "budget_base_currency": lambda p: "EUR",
        }
        if strangers:
            random = Random(9)
            columns["last_name"] = lambda p: "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=12)).capitalize()
            columns["company_name"] = lambda p: "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=14)).capitalize()
        await fill(connection, "lead", columns, count)
        await connection.execute("vacuum analyze lead")
        return [str(row[0]) for row in await connection.fetch("select id from lead where number like 'BEN-%'")]
    finally:
        await connection.close()


COLUMNS_OF_LEAD = (
    "select attname from pg_attribute where attrelid = 'lead'::regclass and attnum > 0 and attgenerated = ''"
)


async def told(suite: Suite, ids: Sequence[str]) -> None:
    """Mark these leads as handled by all consumers. Otherwise steps would wait for their earlier events."""
    for service in suite.followers:
        connection = await connect(suite.database(service))
        await connection.execute(HEARD, ids)
        await connection.close()


HEARD = """
insert into inbox_position (consumer, source, entity, version)
select consumer, source, lead, 1 from inbox_bound cross join unnest($1::uuid[]) lead where source = '/crm/sales'
on conflict do nothing
"""


def address_of(person: Person) -> str:
    parts = {"line1": person.street, "line2": None, "city": person.city, "region": None}
    return json.dumps({**parts, "postal_code": person.postal_code, "country": person.country})


async def empty(suite: Suite) -> None:
    """Delete the leads of an earlier scene."""
    connection = await connect(suite.database("sales"))
    await connection.execute("truncate lead, opportunity, account, contact, audit cascade")
    await connection.close()


async def unit_of(suite: Suite) -> str:
    connection = await connect(suite.database("identity"))
    unit = await connection.fetchval("select id from business_unit where parent_id is null")
    await connection.close()
    return str(unit)
