"""Local copies of the records of other services: the columns of every copy, and the statement that keeps it current."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

import orjson
from sqlalchemy import false
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.catalogue import Event
from crm_contracts.envelope import Envelope
from crm_kit.events.consumers import envelope_of
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork

STUB_VERSION = 0
"""The version of a row that exists only because another record refers to it."""


class Projected:
    """Mixin of a projection table. The row of a deleted record stays as a tombstone. A row with version 0 is a stub.

    Only epoch and version of a row show which event made it (see ``Group.keyless``).
    """

    __tablename__: str
    __table__: ClassVar[Any]

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-20)
    version: Mapped[int] = mapped_column(sort_order=-19)
    deleted: Mapped[bool] = mapped_column(server_default=false(), sort_order=-18)
    epoch: Mapped[int] = mapped_column(server_default="0", sort_order=900, comment="of its publisher's database")


async def project(
    uow: UnitOfWork, model: type[Projected], rows: Sequence[tuple[Event | Envelope, Mapping[str, Any]]]
) -> None:
    """Write the newest state of each record if it is newer than the row. A ``.deleted`` event leaves a tombstone.

    All mappings have the same columns. Of several events of one record, the one with the greatest epoch and version is used.
    Epochs are compared first, so that a restored publisher replaces the rows. The records of ``uow.anew`` also replace rows of
    the same epoch and version. If the row of such a record is newer, the record is removed from ``uow.anew``, for handlers that
    write other tables.
    """
    newest: dict[UUID, tuple[tuple[int, int], dict[str, Any]]] = {}
    for event, values in rows:
        envelope = event if isinstance(event, Envelope) else envelope_of(event)
        place, known = (envelope.epoch, envelope.entityversion), newest.get(envelope.subject)
        if known is None or known[0] < place:
            deleted = ".deleted.v" in envelope.type
            stamp = {"id": envelope.subject, "epoch": envelope.epoch, "version": envelope.entityversion}
            row = {**stamp, "deleted": deleted, **values}
            newest[envelope.subject] = (place, row)
    ordered = [row for _, row in sorted(newest.values(), key=lambda entry: entry[1]["id"].bytes)]
    anew = [row for row in ordered if row["id"] in uow.anew]
    conn = await uow.connection()
    if anew:
        statement = _upsert(model.__tablename__, tuple(anew[0]), newer_only=False) + " returning id"
        taken = {row[0] for row in await fetch(conn, statement, (_json(anew),))}
        # An event took effect after the record was requested, so what the publisher sent again is older.
        uow.anew -= {row["id"] for row in anew} - taken
    if others := [row for row in ordered if row not in anew] if anew else ordered:
        await fetch(conn, _upsert(model.__tablename__, tuple(others[0]), newer_only=True), (_json(others),))


async def project_stubs(conn: AsyncConnection, model: type[Projected], ids: Iterable[UUID], **values: Any) -> None:
    """Make sure that referenced records have a row. A new row has version 0 and only ``values``, until an event arrives."""
    rows = [{"id": key, "version": STUB_VERSION, "deleted": False, **values} for key in sorted(set(ids))]
    if rows:
        await conn.exec_driver_sql(
            _insert(model.__tablename__, tuple(rows[0])) + " on conflict do nothing", (_json(rows),)
        )


@lru_cache(maxsize=256)
def _insert(table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    rows = f"json_populate_recordset(null::{table}, $1::text::json)"
    return f"insert into {table} ({names}) select {names} from {rows}"  # names come from mapped classes


@lru_cache(maxsize=256)
def _upsert(table: str, columns: tuple[str, ...], newer_only: bool) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    compared = ">" if newer_only else ">="
    condition = f"(excluded.epoch, excluded.version) {compared} ({table}.epoch, {table}.version)"
    return f"{_insert(table, columns)} on conflict (id) do update set {changes} where {condition}"


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()
