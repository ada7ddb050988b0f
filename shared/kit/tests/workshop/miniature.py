"""A workshop of owned tools and ownerless boxes: every kind of column the kit knows, and no domain to get lost in.

``box`` is a type of PostgreSQL and ``end`` one of its words, as ``order`` and ``case`` will be.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import APIRouter, Body, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Index, Numeric, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_contracts.access import Privilege
from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import OwnedRecord, Owner, RecordModel
from crm_contracts.types import LongText, Maybe, ShortText
from crm_kit.configuration.settings import Settings
from crm_kit.http.requests import Uow, about
from crm_kit.http.web import create_app
from crm_kit.lifecycle import Lifecycle
from crm_kit.process.runtime import Service, local_names
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.patch import Patch, optional, plain
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.records.references import check_references
from crm_kit.store import record
from crm_kit.store.columns import (
    TYPE_MAP,
    money_columns,
    name_indexes,
    service_metadata,
    sorted_indexes,
)
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import reference, references
from crm_kit.store.searching import search_column, search_rule
from crm_kit.tables import add_kit_tables
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use


class BoxRecord(RecordModel):
    name: str


class ToolRecord(OwnedRecord):
    status: str
    status_reason: str
    number: str
    name: str
    note: str | None
    size: int | None
    weight: str | None
    end: date | None
    used_at: datetime | None
    sharp: bool
    tags: list[Any]
    marks: list[str]
    box_ids: list[UUID]
    price: dict[str, str] | None
    holder: dict[str, Any] | None
    box_id: UUID | None


BOX = Entity(service="workshop", name="box", collection="boxes", record=BoxRecord, owned=False)
TOOL = Entity(service="workshop", name="tool", collection="tools", record=ToolRecord, owned=True)


class BoxCreated(Event):
    type: ClassVar[str] = "crm.workshop.box.created.v1"
    entity: ClassVar[Entity] = BOX
    record: BoxRecord


class BoxDeleted(Event):
    type: ClassVar[str] = "crm.workshop.box.deleted.v1"
    entity: ClassVar[Entity] = BOX
    record: BoxRecord


class ToolEvent(Event):
    entity: ClassVar[Entity] = TOOL
    record: ToolRecord


class ToolCreated(ToolEvent):
    type: ClassVar[str] = "crm.workshop.tool.created.v1"


class ToolUpdated(ToolEvent):
    type: ClassVar[str] = "crm.workshop.tool.updated.v1"


class ToolDeleted(ToolEvent):
    type: ClassVar[str] = "crm.workshop.tool.deleted.v1"


class ToolLent(ToolEvent):
    type: ClassVar[str] = "crm.workshop.tool.lent.v1"
    until: date


class ToolAssigned(ToolEvent):
    type: ClassVar[str] = "crm.workshop.tool.assigned.v1"
    previous_owner: Owner
    new_owner: Owner


class Base(DeclarativeBase):
    metadata = service_metadata()
    type_annotation_map = TYPE_MAP


class Box(Record, Base):
    __tablename__ = "box"
    record_model = BoxRecord

    name: Mapped[str]


class Tool(record.OwnedRecord, Stateful, Base):
    __tablename__ = "tool"
    numbered = "TOO"
    record_model = ToolRecord
    lifecycle = Lifecycle(
        "here/new",
        {
            "lend": ({"here/*"}, "lent/lent"),
            "return": ({"lent/lent"}, "here/used"),
            "scrap": ({"here/*", "lent/lent"}, "gone/worn|broken"),
        },
    )

    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int | None]
    weight: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    end: Mapped[date | None]
    used_at: Mapped[datetime | None]
    sharp: Mapped[bool]
    tags: Mapped[list[Any]] = mapped_column(JSONB)
    marks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    box_ids: Mapped[list[UUID]] = references("box")
    price: Mapped[Money | None] = money_columns("price")
    holder_type: Mapped[str | None] = mapped_column(String(40))
    holder_id: Mapped[UUID | None]
    box_id: Mapped[UUID | None] = reference("box")

    search_text: Mapped[str] = search_column("name", "note")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        Index(None, "owner_id", "created_at", "id"),
        Index(None, "business_unit_id", "created_at", "id"),
        *(Index(f"ix_tool_{column}_id", column, "id") for column in ("created_at", "sharp")),
        *name_indexes("tool", "name"),
        *sorted_indexes("tool", "size", "weight", '"end"', "used_at", "price_amount"),
    )


add_kit_tables(Base.metadata, (Tool,))
SERVICE = Service(
    name="workshop",
    title="Workshop",
    metadata=Base.metadata,
    migrations="",
    entities=(Tool, Box),
    name_lookup=local_names({"box": (Box, "name")}),
)


class ToolFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Maybe[LongText] = None
    size: int | None = None
    weight: Decimal | None = None
    end: date | None = None
    sharp: bool = False
    tags: list[str] = Field(default=[])
    marks: list[str] = Field(default=[])
    box_ids: list[UUID] = Field(default=[])
    box_id: UUID | None = None


class ToolCreate(ToolFields):
    name: ShortText


class ToolUpdate(Patch, ToolFields):
    name: ShortText = optional("What it is called.")


class Lending(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: date


async def create_tool(uow: UnitOfWork, body: ToolCreate) -> Tool:
    await uow.start(Tool)
    await check_references(uow, Tool, dict(body))
    values = {name: plain(value) for name, value in body}
    return uow.add(Tool(number=await uow.number(Tool.numbered), **values), ToolCreated)


async def update_tool(uow: UnitOfWork, tool_id: UUID, body: ToolUpdate) -> Tool:
    tool = await uow.get(Tool, tool_id, Privilege.WRITE)
    require_status(tool, "here")
    values = body.onto(tool)
    await check_references(uow, Tool, values, tool)
    apply(tool, values)
    if uow.changed(tool):
        uow.emit(tool, ToolUpdated)
    return tool


async def lend_tool(uow: UnitOfWork, tool_id: UUID, until: date) -> Tool:
    tool = await uow.get(Tool, tool_id, Privilege.WRITE)
    tool.move("lend")
    uow.emit(tool, ToolLent, until=until)
    return tool


router = APIRouter(prefix="/tools", tags=["tools"], route_class=about(Tool))
boxes = APIRouter(prefix="/boxes", tags=["boxes"], route_class=about(Box))
SORTABLE = ("created_at", "name", "size", "weight", "end", "used_at", "sharp", "price.amount")
TOOLS = Listing(Tool, sortable=SORTABLE, search="search_text")


@router.get("", response_model=Page[ToolRecord], operation_id="list_tools")
async def list_tools(request: Request, uow: Uow) -> Response:
    return await list_records(uow, TOOLS, request)


@router.post("/query", response_model=Page[ToolRecord], operation_id="query_tools")
async def query_tools(query: Query, uow: Uow) -> Response:
    return await query_records(uow, TOOLS, query)


@router.post("", response_model=ToolRecord, status_code=201, operation_id="create_tool")
async def post_tool(body: ToolCreate, uow: Uow) -> Response:
    return await created(uow, await create_tool(uow, body))


@router.get("/{tool_id}", response_model=ToolRecord, operation_id="get_tool")
async def get_tool(tool_id: UUID, request: Request, uow: Uow) -> Response:
    return await read(uow, Tool, tool_id, request)


@router.patch("/{tool_id}", response_model=ToolRecord, operation_id="update_tool")
async def patch_tool(tool_id: UUID, body: ToolUpdate, uow: Uow) -> Response:
    return await one(uow, await update_tool(uow, tool_id, body))


@router.delete("/{tool_id}", status_code=204, operation_id="delete_tool")
async def delete_tool(tool_id: UUID, uow: Uow) -> Response:
    uow.remove(await uow.get(Tool, tool_id, Privilege.DELETE), ToolDeleted)
    return gone()


@router.get("/{tool_id}/history", operation_id="list_tool_history")
async def list_tool_history(tool_id: UUID, request: Request, uow: Uow) -> Response:
    return await history(uow, Tool, tool_id, request)


@router.post("/{tool_id}/lend", response_model=ToolRecord, operation_id="lend_tool")
async def lend(tool_id: UUID, uow: Uow, body: Annotated[Lending | None, Body()] = None) -> Response:
    return await one(uow, await lend_tool(uow, tool_id, body.until if body else uow.now.date()))


@router.post("/{tool_id}/assign", response_model=ToolRecord, operation_id="assign_tool")
async def assign_tool(tool_id: UUID, body: Assignment, uow: Uow) -> Response:
    tool = await uow.get(Tool, tool_id, Privilege.ASSIGN)
    await assign(uow, tool, body, ToolAssigned)
    return await one(uow, tool)


@boxes.delete("/{box_id}", status_code=204, operation_id="delete_box")
async def delete_box(box_id: UUID, uow: Uow) -> Response:
    box = await uow.get(Box, box_id, Privilege.DELETE)
    await refuse_in_use(uow, box)
    uow.remove(box, BoxDeleted)
    return gone()


def app(settings: Settings) -> FastAPI:
    return create_app(SERVICE, [router, boxes], settings=settings)
