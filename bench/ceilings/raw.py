"""Ceiling B: FastAPI and asyncpg with hand-written statements: about the least Python that can do the work.

Run by `bench.ceilings.apps`; reads `DATABASE_URL`. The tables are those of ceiling A.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from fastapi import FastAPI, HTTPException, Query, Response

from bench.ceilings.schemas import LeadCreate

SOMEBODY = UUID("018f0000-0000-7000-8000-000000000001")
BASE_CURRENCY = "EUR"
ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")
MONEY = ("budget", "estimated_value")
GIVEN = tuple(name for name in LeadCreate.model_fields if name not in ("address", *MONEY))

WRITTEN = (
    *("id", "version", "status", "status_reason", "owner_type", "owner_id", "business_unit_id"),
    *("created_at", "created_by", "modified_at", "modified_by"),
    *GIVEN,
    *(f"address_{part}" for part in ADDRESS),
    *(f"{name}_{part}" for name in MONEY for part in ("amount", "currency", "base_amount")),
    "exchange_rate",
)
INSERT_LEAD = (
    f"insert into lead ({', '.join(WRITTEN)}) values ({', '.join(f'${n}' for n in range(1, len(WRITTEN) + 1))}) "
    "returning *"
)
INSERT_OUTBOX = (
    "insert into outbox (id, type, entity_id, entity_version, body, created_at) values ($1, $2, $3, $4, $5, $6)"
)
SEARCH_TEXT = " || ' ' || ".join(
    f"coalesce({column}, '')" for column in ("topic", "first_name", "last_name", "company_name", "email")
)
GET = "select * from lead where id = $1"
LIST = {
    "created_at": "select * from lead order by created_at, id limit $1",
    "-created_at": "select * from lead order by created_at desc, id desc limit $1",
}
SEARCH = f"select * from lead where ({SEARCH_TEXT}) ilike $2 order by created_at desc, id desc limit $1"
INSERT_ACCOUNT = (
    "insert into account (id, version, owner_type, owner_id, business_unit_id, created_at, created_by, modified_at, "
    "modified_by, name, status, industry, website, email, phone, tier) "
    "values ($1, 1, 'user', $2, $2, $3, $2, $3, $2, $4, 'active', $5, $6, $7, $8, 'prospect')"
)
INSERT_CONTACT = (
    "insert into contact (id, version, owner_type, owner_id, business_unit_id, created_at, created_by, modified_at, "
    "modified_by, first_name, last_name, status, account_id, job_title, email, phone, mobile_phone) "
    "values ($1, 1, 'user', $2, $2, $3, $2, $3, $2, $4, $5, 'active', $6, $7, $8, $9, $10)"
)
INSERT_OPPORTUNITY = (
    "insert into opportunity (id, version, owner_type, owner_id, business_unit_id, created_at, created_by, "
    "modified_at, modified_by, name, status, account_id, contact_id, lead_id, estimated_value, currency, "
    "estimated_close_date) values ($1, 1, 'user', $2, $2, $3, $2, $3, $2, $4, 'open', $5, $6, $7, $8, $9, $10)"
)
QUALIFY = (
    "update lead set status = 'qualified', status_reason = 'qualified', qualified_at = $2, modified_at = $2, "
    "version = version + 1, account_id = $3, contact_id = $4, opportunity_id = $5 where id = $1 returning *"
)


def money(amount: Any, currency: str | None) -> dict[str, str | None] | None:
    return None if amount is None else {"amount": str(amount), "currency": currency}


def encoded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the JSON of a lead, with flat columns combined into `address` and the money fields."""
    row["address"] = {part: row.pop(f"address_{part}") for part in ADDRESS}
    for name in MONEY:
        currency = row.pop(f"{name}_currency")
        row[name] = money(row.pop(f"{name}_amount"), currency)
        row[f"{name}_base"] = money(row.pop(f"{name}_base_amount"), BASE_CURRENCY)
    return row


def dumped(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)


def answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


async def keep_session(connection: asyncpg.Connection) -> None:
    """Skip the reset query that asyncpg sends on release: no request here changes session state."""


pool: asyncpg.Pool


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=6, max_size=6, reset=keep_session) as pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/leads", status_code=201)
async def create_lead(body: LeadCreate) -> Response:
    now = datetime.now(UTC)
    values = [uuid4(), 1, "open", "new", "user", SOMEBODY, SOMEBODY, now, SOMEBODY, now, SOMEBODY]
    values += [getattr(body, name) for name in GIVEN]
    values += [getattr(body.address, part, None) for part in ADDRESS]
    for given in (body.budget, body.estimated_value):
        values += [given.amount, given.currency, given.amount] if given else [None, None, None]
    values.append(1 if body.budget or body.estimated_value else None)
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(INSERT_LEAD, *values)
        read = dumped(encoded(dict(row)))
        await connection.execute(INSERT_OUTBOX, uuid4(), "lead.created", values[0], 1, read, now)
    return answer(read, 201)


@app.get("/leads/{lead_id}")
async def get_lead(lead_id: UUID) -> Response:
    row = await pool.fetchrow(GET, lead_id)
    if row is None:
        raise HTTPException(404)
    return answer(dumped(encoded(dict(row))))


@app.get("/leads")
async def list_leads(
    q: str | None = None, sort: str = "-created_at", limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    if sort not in LIST:
        raise HTTPException(400)
    rows = await (pool.fetch(SEARCH, limit, f"%{q}%") if q else pool.fetch(LIST[sort], limit))
    return answer(dumped([encoded(dict(row)) for row in rows]))


@app.post("/leads/{lead_id}/qualify")
async def qualify_lead(lead_id: UUID) -> Response:
    now = datetime.now(UTC)
    account_id, contact_id, opportunity_id = uuid4(), uuid4(), uuid4()
    async with pool.acquire() as connection, connection.transaction():
        lead = await connection.fetchrow(GET + " for update", lead_id)
        if lead is None:
            raise HTTPException(404)
        if lead["status"] != "open":
            raise HTTPException(409)
        named = lead["company_name"] or lead["topic"]
        reach = (lead["email"], lead["phone"])
        await connection.execute(
            INSERT_ACCOUNT, account_id, SOMEBODY, now, named, lead["industry"], lead["website"], *reach
        )
        await connection.execute(
            INSERT_CONTACT,
            *(contact_id, SOMEBODY, now, lead["first_name"], lead["last_name"] or lead["topic"], account_id),
            *(lead["job_title"], *reach, lead["mobile_phone"]),
        )
        await connection.execute(
            INSERT_OPPORTUNITY,
            *(opportunity_id, SOMEBODY, now, lead["topic"], account_id, contact_id, lead_id),
            *(lead["estimated_value_amount"], lead["estimated_value_currency"], lead["estimated_close_date"]),
        )
        row = await connection.fetchrow(QUALIFY, lead_id, now, account_id, contact_id, opportunity_id)
        read = dumped(encoded(dict(row)))
        await connection.executemany(
            INSERT_OUTBOX,
            [
                (uuid4(), "account.created", account_id, 1, read, now),
                (uuid4(), "contact.created", contact_id, 1, read, now),
                (uuid4(), "opportunity.created", opportunity_id, 1, read, now),
                (uuid4(), "lead.qualified", lead_id, row["version"], read, now),
            ],
        )
    return answer(read)
