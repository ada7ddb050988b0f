"""The events of all records as far as timelines show them: one row per event."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_activities.timeline.titles import shown_facts
from crm_contracts.envelope import Envelope
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork


class TimelineEvent(Base):
    """An event of a record. The title is made on reading. The name and the access data are in the RecordRef."""

    __tablename__ = "timeline_event"

    record_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    version: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = (Index(None, "record_id", "version"),)


async def keep_timeline(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """Insert one row per event, also for late events. Neither the record nor values of its fields are stored."""
    rows = sorted((_row(event) for event in events), key=_in_order)
    await fetch(
        await uow.connection(),
        "insert into timeline_event (record_id, at, id, type, actor, data, version)"
        " select record_id, at, id, type, actor, data, version"
        " from json_populate_recordset(null::timeline_event, $1::text::json) on conflict do nothing",
        (orjson.dumps(rows).decode(),),
    )


def _row(envelope: Envelope) -> dict[str, Any]:
    return {
        "record_id": envelope.subject,
        "at": envelope.time,
        "id": envelope.id,
        "type": envelope.type,
        "actor": envelope.actor,
        "data": shown_facts(envelope.type, envelope.data),
        "version": envelope.entityversion,
    }


def _in_order(row: dict[str, Any]) -> Any:
    """The common order of inserts: consumers of the same events wait for each other instead of deadlocking."""
    return row["record_id"], row["id"]
