"""``StageVisit``: the stage visits of all deals, copied from their records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.opportunity import OpportunityEvent, OpportunityRecord
from crm_insights.db import Base
from crm_kit.events.consumers import place_of
from crm_kit.work.uow import UnitOfWork


class StageVisit(Base):
    """The ``number``-th visit of a deal, from 1. ``version`` is that of the deal's record that last changed the row."""

    __tablename__ = "stage_visit"

    deal_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    stage_id: Mapped[UUID]
    stage: Mapped[str] = mapped_column(String(200), comment="its name when it was entered")
    entered_at: Mapped[datetime]
    left_at: Mapped[datetime | None]


# A record has all of its visits and none is ever removed, so newer rows replace older ones and nothing is deleted,
# unless sales was restored from a backup.
_KEEP = """
insert into stage_visit (deal_id, number, version, stage_id, stage, entered_at, left_at)
select deal_id, number, version, stage_id, stage, entered_at, left_at
from json_populate_recordset(null::stage_visit, $1::text::json)
on conflict (deal_id, number) do update set version = excluded.version, stage_id = excluded.stage_id,
  stage = excluded.stage, entered_at = excluded.entered_at, left_at = excluded.left_at
where excluded.version > stage_visit.version
"""
_FORGET = "delete from stage_visit where deal_id = any($1::uuid[])"


async def keep_visits(uow: UnitOfWork, events: Sequence[OpportunityEvent]) -> None:
    """Store the visits of these deals, each from the newest record of its deal."""
    newest: dict[UUID, OpportunityRecord] = {}
    for event in sorted(events, key=place_of):
        newest[event.record.id] = event.record
    rows = [row for _, record in sorted(newest.items()) for row in _rows(record)]
    conn = await uow.connection()
    if told_anew := newest.keys() & uow.anew:
        await conn.exec_driver_sql(_FORGET, (sorted(told_anew),))
    if rows:
        await conn.exec_driver_sql(_KEEP, (orjson.dumps(rows).decode(),))


def _rows(record: OpportunityRecord) -> list[dict[str, Any]]:
    return [
        {
            "deal_id": record.id,
            "number": number,
            "version": record.version,
            "stage_id": visit.stage_id,
            "stage": visit.stage,
            "entered_at": visit.entered_at,
            "left_at": visit.left_at,
        }
        for number, visit in enumerate(record.stages, start=1)
    ]
