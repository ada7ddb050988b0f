"""Ceiling A: FastAPI and the SQLAlchemy ORM, as in their tutorials, without the suite's additional work.

Run by `bench.ceilings.apps`; reads `DATABASE_URL` (postgresql://…).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import ForeignKey, Identity, Index, Numeric, Sequence, Text, asc, desc, literal_column, select, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.ceilings.schemas import LeadCreate, LeadRead

SOMEBODY = UUID("018f0000-0000-7000-8000-000000000001")
BASE_CURRENCY = "EUR"


class Base(DeclarativeBase):
    type_annotation_map = {datetime: TIMESTAMP(timezone=True), str: Text, Decimal: Numeric(18, 2)}


class Record:
    """The fields that every record of the suite has."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    version: Mapped[int] = mapped_column(default=1)
    owner_type: Mapped[str] = mapped_column(default="user")
    owner_id: Mapped[UUID] = mapped_column(default=SOMEBODY)
    business_unit_id: Mapped[UUID] = mapped_column(default=SOMEBODY)
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(default=SOMEBODY)
    modified_at: Mapped[datetime]
    modified_by: Mapped[UUID] = mapped_column(default=SOMEBODY)


class Account(Record, Base):
    __tablename__ = "account"

    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    industry: Mapped[str | None]
    website: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    tier: Mapped[str] = mapped_column(default="prospect")


class Contact(Record, Base):
    __tablename__ = "contact"

    first_name: Mapped[str | None]
    last_name: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    job_title: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    mobile_phone: Mapped[str | None]


class Opportunity(Record, Base):
    __tablename__ = "opportunity"

    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="open")
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contact.id"))
    lead_id: Mapped[UUID | None]
    estimated_value: Mapped[Decimal | None]
    currency: Mapped[str | None]
    estimated_close_date: Mapped[date | None]


class Lead(Record, Base):
    __tablename__ = "lead"

    number: Mapped[str] = mapped_column(unique=True, server_default=text("'LEA-' || nextval('lead_number')"))
    status: Mapped[str] = mapped_column(default="open")
    status_reason: Mapped[str] = mapped_column(default="new")
    topic: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    company_name: Mapped[str | None]
    job_title: Mapped[str | None]
    gender: Mapped[str | None]
    birth_date: Mapped[date | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    mobile_phone: Mapped[str | None]
    address_line1: Mapped[str | None]
    address_line2: Mapped[str | None]
    address_city: Mapped[str | None]
    address_region: Mapped[str | None]
    address_postal_code: Mapped[str | None]
    address_country: Mapped[str | None]
    website: Mapped[str | None]
    industry: Mapped[str | None]
    source: Mapped[str | None]
    rating: Mapped[str | None]
    budget_amount: Mapped[Decimal | None]
    budget_currency: Mapped[str | None]
    budget_base_amount: Mapped[Decimal | None]
    estimated_value_amount: Mapped[Decimal | None]
    estimated_value_currency: Mapped[str | None]
    estimated_value_base_amount: Mapped[Decimal | None]
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(18, 8))
    estimated_close_date: Mapped[date | None]
    need: Mapped[str | None]
    preferred_channel: Mapped[str] = mapped_column(default="any")
    do_not_email: Mapped[bool] = mapped_column(default=False)
    do_not_phone: Mapped[bool] = mapped_column(default=False)
    do_not_post: Mapped[bool] = mapped_column(default=False)
    campaign_id: Mapped[UUID | None]
    description: Mapped[str | None]
    account_id: Mapped[UUID | None]
    contact_id: Mapped[UUID | None]
    opportunity_id: Mapped[UUID | None]
    qualified_at: Mapped[datetime | None]
    disqualified_at: Mapped[datetime | None]

    @property
    def address(self) -> dict[str, str | None]:
        return {
            "line1": self.address_line1,
            "line2": self.address_line2,
            "city": self.address_city,
            "region": self.address_region,
            "postal_code": self.address_postal_code,
            "country": self.address_country,
        }

    @property
    def budget(self) -> dict[str, Any] | None:
        return money(self.budget_amount, self.budget_currency)

    @property
    def budget_base(self) -> dict[str, Any] | None:
        return money(self.budget_base_amount, BASE_CURRENCY)

    @property
    def estimated_value(self) -> dict[str, Any] | None:
        return money(self.estimated_value_amount, self.estimated_value_currency)

    @property
    def estimated_value_base(self) -> dict[str, Any] | None:
        return money(self.estimated_value_base_amount, BASE_CURRENCY)


LEAD_NUMBER = Sequence("lead_number", metadata=Base.metadata)
NEWEST_FIRST = Index("lead_created_at", Lead.created_at, Lead.id)
# A literal, because PostgreSQL uses an expression index only if the query has the same expression without parameters.
SEARCH_TEXT = " || ' ' || ".join(
    f"coalesce({column}, '')" for column in ("topic", "first_name", "last_name", "company_name", "email")
)


class Outbox(Base):
    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[UUID] = mapped_column(default=uuid4)
    type: Mapped[str]
    entity_id: Mapped[UUID]
    entity_version: Mapped[int]
    body: Mapped[bytes]
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]


def money(amount: Decimal | None, currency: str | None) -> dict[str, Any] | None:
    return None if amount is None else {"amount": amount, "currency": currency}


def lead_of(body: LeadCreate, now: datetime) -> Lead:
    lead = Lead(created_at=now, modified_at=now, **body.model_dump(exclude={"address", "budget", "estimated_value"}))
    if body.address:
        for part, value in body.address.model_dump().items():
            setattr(lead, f"address_{part}", value)
    for name in ("budget", "estimated_value"):
        if given := getattr(body, name):
            setattr(lead, f"{name}_amount", given.amount)
            setattr(lead, f"{name}_currency", given.currency)
            setattr(lead, f"{name}_base_amount", given.amount)
            lead.exchange_rate = Decimal(1)
    return lead


engine = create_async_engine(
    os.environ.get("DATABASE_URL", "postgresql://").replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=6,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def session_of_request() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
Session = Annotated[AsyncSession, Depends(session_of_request)]
SORTS = {"created_at": asc, "-created_at": desc}


@app.post("/leads", status_code=201)
async def create_lead(body: LeadCreate, session: Session) -> LeadRead:
    now = datetime.now(UTC)
    lead = lead_of(body, now)
    session.add(lead)
    await session.flush()
    read = LeadRead.model_validate(lead)
    session.add(
        Outbox(
            type="lead.created",
            entity_id=lead.id,
            entity_version=1,
            body=read.model_dump_json().encode(),
            created_at=now,
        )
    )
    await session.commit()
    return read


@app.get("/leads/{lead_id}", response_model=LeadRead)
async def get_lead(lead_id: UUID, session: Session) -> Lead:
    lead = await session.get(Lead, lead_id)
    if lead is None:
        raise HTTPException(404)
    return lead


@app.get("/leads", response_model=list[LeadRead])
async def list_leads(
    session: Session, q: str | None = None, sort: str = "-created_at", limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[Lead]:
    order = SORTS.get(sort)
    if order is None:
        raise HTTPException(400)
    query = select(Lead).order_by(order(Lead.created_at), order(Lead.id)).limit(limit)
    if q:
        query = query.where(literal_column(f"({SEARCH_TEXT})", Text).ilike(f"%{q}%"))
    return list((await session.scalars(query)).all())


@app.post("/leads/{lead_id}/qualify", response_model=LeadRead)
async def qualify_lead(lead_id: UUID, session: Session) -> LeadRead:
    lead = await session.get(Lead, lead_id, with_for_update=True)
    if lead is None:
        raise HTTPException(404)
    if lead.status != "open":
        raise HTTPException(409)
    now = datetime.now(UTC)
    account = Account(
        id=uuid4(),
        name=lead.company_name or lead.topic,
        industry=lead.industry,
        website=lead.website,
        email=lead.email,
        phone=lead.phone,
        created_at=now,
        modified_at=now,
    )
    contact = Contact(
        id=uuid4(),
        first_name=lead.first_name,
        last_name=lead.last_name or lead.topic,
        account_id=account.id,
        job_title=lead.job_title,
        email=lead.email,
        phone=lead.phone,
        mobile_phone=lead.mobile_phone,
        created_at=now,
        modified_at=now,
    )
    opportunity = Opportunity(
        id=uuid4(),
        name=lead.topic,
        account_id=account.id,
        contact_id=contact.id,
        lead_id=lead.id,
        estimated_value=lead.estimated_value_amount,
        currency=lead.estimated_value_currency,
        estimated_close_date=lead.estimated_close_date,
        created_at=now,
        modified_at=now,
    )
    lead.status, lead.status_reason, lead.qualified_at = "qualified", "qualified", now
    lead.account_id, lead.contact_id, lead.opportunity_id = account.id, contact.id, opportunity.id
    lead.version, lead.modified_at = lead.version + 1, now
    read = LeadRead.model_validate(lead)
    body = read.model_dump_json().encode()
    session.add_all([account, contact, opportunity])
    session.add_all(
        Outbox(type=fact, entity_id=record.id, entity_version=version, body=body, created_at=now)
        for fact, record, version in (
            ("account.created", account, 1),
            ("contact.created", contact, 1),
            ("opportunity.created", opportunity, 1),
            ("lead.qualified", lead, lead.version),
        )
    )
    await session.commit()
    return read
