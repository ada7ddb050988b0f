"""Collects what a unit of work will write: pending events, records as they are shown, and the one statement."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_contracts.catalogue import Event
from crm_contracts.envelope import MAX_BYTES
from crm_kit.store.database import fetch
from crm_kit.store.presenter import presenter_of, to_json
from crm_kit.store.record import Record, stored_columns
from crm_kit.work.announcing import Cause, Origin, announce, too_large, validate
from crm_kit.work.flush import Changes
from crm_kit.work.idempotency import KEEP_ANSWER, StoredAnswer
from crm_kit.work.link import Link
from crm_kit.work.locked import Locked, values_of
from crm_kit.work.names import Names

STAMPS = frozenset({"version", "modified_at", "modified_by"})


@dataclass(slots=True)
class Pending:
    """An event that the next flush writes."""

    record: Record
    event: type[Event]
    facts: dict[str, Any]
    values: tuple[Any, ...]
    """The record's values when the event was added. The record must not change afterwards."""


class Writing:
    """Holds one event for each changed record. A change without an event raises RuntimeError before anything is written."""

    def __init__(self, link: Link, locked: Locked, names: Names, now: datetime) -> None:
        self._link = link
        self._runtime, self._principal = link.runtime, link.principal
        self._locked = locked
        self._names = names
        self._now = now
        self._new: set[UUID] = set()
        self._removed: dict[UUID, Record] = {}
        self._pending: dict[UUID, Pending] = {}
        self._rendered: dict[UUID, tuple[dict[str, Any], bytes]] = {}
        self._written: list[tuple[str, UUID, int]] = []

    def add(self, record: Record, event: type[Event], facts: dict[str, Any]) -> None:
        """Add a record to insert."""
        self._locked.add(record)
        self._new.add(record.id)
        self.change(record, event, facts)

    def remove(self, record: Record, event: type[Event], facts: dict[str, Any]) -> None:
        """Add a record to delete."""
        self._removed[record.id] = record
        self.change(record, event, facts)

    def change(self, record: Record, event: type[Event], facts: dict[str, Any]) -> None:
        """Add a record to update, with all of its changes. Raises RuntimeError if it already has an event."""
        if record.id in self._pending:
            raise RuntimeError(f"a second event for {record.entity()} {record.id} in one unit of work")
        self._pending[record.id] = Pending(record, event, facts, values_of(record))

    def differs(self, record: Record) -> bool:
        """Whether the record differs from the stored one."""
        return record.id in self._new or bool(self._locked.differences(record))

    async def render(self, record: Record) -> tuple[dict[str, Any], bytes]:
        """Return the record as it is shown to clients, and the same as JSON. Kept once the record has its event."""
        known = self._rendered.get(record.id)
        if known is None:
            await self._names.learn(type(record), [record.__dict__])
            shown = presenter_of(type(record)).record(record.__dict__, self._names)
            known = shown, to_json(shown)
            if record.id in self._pending:
                self._rendered[record.id] = known
        return known

    @property
    def written(self) -> list[tuple[str, UUID, int]]:
        """(entity, id, version) of every record this unit of work has changed or will change."""
        pending = [(p.record.entity(), p.record.id, p.record.version) for p in self._pending.values()]
        return [*self._written, *pending]

    @property
    def removed(self) -> list[Record]:
        """The records to delete, or deleted."""
        return list(self._removed.values())

    @property
    def pending(self) -> frozenset[UUID]:
        """The records whose events the next flush writes."""
        return frozenset(self._pending)

    def drop_all_but(self, kept: Set[UUID]) -> None:
        """Drop pending events of other records, and give these records their stored values again."""
        for record_id in self._pending.keys() - kept:
            record = self._pending.pop(record_id).record
            self._rendered.pop(record_id, None)
            self._removed.pop(record_id, None)
            if (before := self._locked.before(record)) is not None:
                record.__dict__.update(before)
            else:
                self._new.discard(record_id)
                self._locked.drop(record)

    @property
    def pending_types(self) -> list[str]:
        """The types of the events that the next flush writes, in order."""
        return [pending.event.type for pending in self._pending.values()]

    async def flush_pending(self, cause: Cause) -> None:
        """Write what is pending, if anything. Other records may have changes whose event is still to come."""
        if self._pending:
            self._refuse_later_changes()
            await self._write(cause, None)

    async def flush(self, cause: Cause, answer: StoredAnswer | None) -> None:
        """Write everything in one statement, which is its own transaction if none has begun.

        Raises RuntimeError if a record changed without an event or after its event, and 422 ``too-large`` if an event is too
        large.
        """
        self._refuse_silent_changes()
        self._refuse_later_changes()
        keeps = answer is not None and self._link.key is not None
        if not self._pending:
            if keeps:
                assert answer is not None
                await self._keep_without_effect(answer)
            return
        await self._write(cause, answer)

    async def _write(self, cause: Cause, answer: StoredAnswer | None) -> None:
        changes = Changes()
        actor = cause.actor or self._principal.actor
        origin = Origin(self._runtime.service, self._now, actor, cause, self._runtime.settings.schemas)
        for pending in self._pending.values():
            await self._collect(pending, changes, origin)
        stored = self._link.key.stored(answer) if self._link.key is not None and answer is not None else None
        sql, parameters = changes.statement(stored)
        conn = await self._link.connection()
        count = (await fetch(conn, sql, parameters))[0][0]
        if count != changes.expected:
            raise RuntimeError(f"{changes.expected - count} records changed under their lock")
        self._written.extend((p.record.entity(), p.record.id, p.record.version) for p in self._pending.values())
        for pending in self._pending.values():
            self._settle(pending.record)
        self._pending.clear()
        self._rendered.clear()

    async def _keep_without_effect(self, answer: StoredAnswer) -> None:
        assert self._link.key is not None
        await (await self._link.transaction()).exec_driver_sql(
            KEEP_ANSWER.format(*range(1, 8)), self._link.key.stored(answer)
        )

    async def _collect(self, pending: Pending, changes: Changes, origin: Origin) -> None:
        record, table = pending.record, pending.record.__tablename__
        shown, as_json = await self.render(record)
        difference: dict[str, Any] = {}
        whole = True
        if record.id in self._new:
            columns = stored_columns(type(record))
            changes.add("insert", table, columns, {column: record.__dict__[column] for column in columns})
        elif record.id in self._removed:
            changes.add("delete", table, ("id",), {"id": record.id, "version": record.version - 1})
        else:
            columns, whole = tuple(self._locked.differences(record)), False
            changes.add("update", table, columns, {"id": record.id, **{c: record.__dict__[c] for c in columns}})
            difference = await self._compare(record, shown)
        if self._runtime.validate_events:
            validate(pending.event, as_json, difference, pending.facts)
        row, body = announce(origin, record, pending.event, pending.facts, as_json, difference, whole=whole)
        if len(body) > MAX_BYTES:
            raise too_large(shown)
        changes.events.append(row)
        changes.bodies.append(body)

    async def _compare(self, record: Record, shown: dict[str, Any]) -> dict[str, Any]:
        before = self._locked.before(record)
        assert before is not None  # what is compared was loaded
        await self._names.learn(type(record), [before])
        earlier = presenter_of(type(record)).record(before, self._names)
        return {
            field: {"old": earlier[field], "new": value}
            for field, value in shown.items()
            if field not in STAMPS and earlier[field] != value
        }

    def _settle(self, record: Record) -> None:
        if record.id in self._removed:
            self._locked.drop(record)
            return
        self._new.discard(record.id)
        self._locked.adopt(record)

    def _refuse_silent_changes(self) -> None:
        for record in self._locked:
            if record.id not in self._pending and (changed := self._locked.differences(record)):
                raise RuntimeError(f"{record.entity()} {record.id} changed without an event: {changed}")

    def _refuse_later_changes(self) -> None:
        for pending in self._pending.values():
            record = pending.record
            if pending.values != (values := values_of(record)):
                columns = stored_columns(type(record))
                changed = [c for c, told, now in zip(columns, pending.values, values, strict=True) if told != now]
                raise RuntimeError(f"{record.entity()} {record.id} changed after its event: {changed}")
