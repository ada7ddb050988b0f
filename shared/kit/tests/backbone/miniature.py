"""A service of two records, small enough to see through: what the backbone is tried on.

Things are announced by whoever makes them up; the service copies them, keeps a journal of their events, and echoes each
rename exactly once. Run as a program it is that service's worker.
"""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Identity
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_kit.copies.projections import Projected, project
from crm_kit.events.consumers import Consumers, envelope_of
from crm_kit.process.runtime import Service
from crm_kit.store.columns import TYPE_MAP, service_metadata
from crm_kit.store.record import Record
from crm_kit.tables import add_kit_tables
from crm_kit.work.uow import UnitOfWork


class ThingRecord(RecordModel):
    name: str = Field(max_length=100)


class EchoRecord(RecordModel):
    thing_id: UUID
    thing_version: int


THING = Entity(service="mini", name="thing", collection="things", record=ThingRecord, owned=False)
ECHO = Entity(service="mini", name="echo", collection="echoes", record=EchoRecord, owned=False)


class ThingCreated(Event):
    type: ClassVar[str] = "crm.mini.thing.created.v1"
    entity: ClassVar[Entity] = THING
    record: ThingRecord


class ThingUpdated(Event):
    type: ClassVar[str] = "crm.mini.thing.updated.v1"
    entity: ClassVar[Entity] = THING
    record: ThingRecord


class ThingRenamed(Event):
    type: ClassVar[str] = "crm.mini.thing.renamed.v1"
    entity: ClassVar[Entity] = THING
    record: ThingRecord


class ThingDeleted(Event):
    type: ClassVar[str] = "crm.mini.thing.deleted.v1"
    entity: ClassVar[Entity] = THING
    record: ThingRecord


class ThingSnapshot(Event):
    type: ClassVar[str] = "crm.mini.thing.snapshot.v1"
    entity: ClassVar[Entity] = THING
    record: ThingRecord


class EchoCreated(Event):
    type: ClassVar[str] = "crm.mini.echo.created.v1"
    entity: ClassVar[Entity] = ECHO
    record: EchoRecord


class EchoSnapshot(Event):
    type: ClassVar[str] = "crm.mini.echo.snapshot.v1"
    entity: ClassVar[Entity] = ECHO
    record: EchoRecord


class Base(DeclarativeBase):
    metadata = service_metadata()
    type_annotation_map = TYPE_MAP


class Thing(Record, Base):
    __tablename__ = "thing"
    record_model = ThingRecord

    name: Mapped[str]


class Echo(Record, Base):
    __tablename__ = "echo"
    record_model = EchoRecord

    thing_id: Mapped[UUID]
    thing_version: Mapped[int]


class ThingCopy(Projected, Base):
    __tablename__ = "thing_copy"

    name: Mapped[str | None]


class Journal(Base):
    __tablename__ = "journal"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    thing_id: Mapped[UUID]
    version: Mapped[int]


class Told(Base):
    """A row per event, as the kit knows how to compare and rebuild it."""

    __tablename__ = "told"

    record_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str]
    version: Mapped[int]


class Seen(Base):
    """What the step saw, in the order in which it saw it."""

    __tablename__ = "seen"

    position: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    thing_id: Mapped[UUID]
    version: Mapped[int]


add_kit_tables(Base.metadata)
SERVICE = Service(name="mini", title="Miniature", metadata=Base.metadata, migrations="", entities=(Thing, Echo))
EVERY = (ThingCreated, ThingUpdated, ThingRenamed, ThingDeleted)

consumers = Consumers("mini")


@consumers.projection(*EVERY, group="mini.copies")
async def keep_copies(events: Sequence[ThingCreated], uow: UnitOfWork) -> None:
    if any(event.record.name == "poison projection" for event in events):
        raise LookupError("there is no cure")
    await project(uow, ThingCopy, [(event, {"name": event.record.name}) for event in events])


@consumers.projection(*EVERY, group="mini.journal", each_event=True)
async def keep_journal(events: Sequence[ThingCreated], uow: UnitOfWork) -> None:
    conn = await uow.connection()
    rows = [(envelope_of(e).id, envelope_of(e).subject, envelope_of(e).entityversion) for e in events]
    await conn.exec_driver_sql(
        "insert into journal select * from unnest($1::uuid[], $2::uuid[], $3::int[])",
        tuple(list(column) for column in zip(*rows, strict=True)),
    )


@consumers.step(*EVERY, group="mini.echoes")
async def echo(event: ThingCreated, uow: UnitOfWork) -> None:
    if event.record.name == "poison step":
        raise LookupError("there is no cure")
    if event.record.name == "deadly":
        os._exit(137)
    conn = await uow.connection()
    thing = (event.record.id, envelope_of(event).entityversion)
    await conn.exec_driver_sql("insert into seen (thing_id, version) values ($1, $2)", thing)
    if isinstance(event, ThingRenamed):
        uow.add(Echo(thing_id=thing[0], thing_version=thing[1]), EchoCreated)


keyless = Consumers("mini")
"""The same with projections whose rows say themselves how far they are."""
keyless.projection(*EVERY, group="mini.copies")(keep_copies)
keyless.keeps("mini.copies", ThingCopy.__tablename__, THING)
keyless.step(*EVERY, group="mini.echoes")(echo)


@keyless.projection(*EVERY, group="mini.told", each_event=True)
async def keep_told(events: Sequence[ThingCreated], uow: UnitOfWork) -> None:
    if any(event.record.name == "poison journal" for event in events):
        raise LookupError("there is no cure")
    conn = await uow.connection()
    envelopes = [envelope_of(event) for event in events]
    rows = [(e.subject, e.time, e.id, e.type, e.entityversion) for e in envelopes]
    await conn.exec_driver_sql(
        "insert into told select * from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::int[])"
        " on conflict do nothing",
        tuple(list(column) for column in zip(*rows, strict=True)),
    )


keyless.keeps_events("mini.told", Told.__tablename__)

acting = Consumers("mini")
"""A step that acts on renames in whatever order they come, beside a projection."""
acting.projection(*EVERY, group="mini.copies")(keep_copies)
acting.keeps("mini.copies", ThingCopy.__tablename__, THING)
acting.step(ThingRenamed, group="mini.echoes", any_order=True)(echo)


if __name__ == "__main__":
    from crm_kit.worker.running import Work, run_worker

    sys.exit(run_worker(Work(SERVICE, consumers)))
