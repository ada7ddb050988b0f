"""Makes and changes records by the rows of a chunk, and reports why a row is refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from pydantic import ValidationError

from crm_kit.errors import DomainError
from crm_kit.http.phrases import of_rule
from crm_kit.importing.formats import Unread
from crm_kit.importing.importer import Duplicate, Importer
from crm_kit.importing.mapping import FieldMapping, Misfit
from crm_kit.importing.naming import address, records_by_key, resolve
from crm_kit.importing.outcome import MOST_ERRORS, SHOWN_ROWS, Outcome
from crm_kit.importing.owners import Owner, give, owners_of, require_same
from crm_kit.importing.queue import Job, StoredRow
from crm_kit.store.record import OwnedRecord
from crm_kit.work.calendar import zone
from crm_kit.work.uow import UnitOfWork

BREATH: Final = 50
"""Rows after which the event loop runs its other tasks: relay, consumers and health checks."""
COMPARE_SECONDS: Final = 3
"""The longest time that a statement may compare a chunk with stored records. Then a smaller chunk is tried."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row in hand."""

    line: int
    text: str
    """The cells as they are stored."""
    cells: list[str]


def mapping_of(importer: Importer, job: Job, local: ZoneInfo | None = None) -> FieldMapping:
    """Return the mapping of a job. ``local`` is the zone of times that do not say theirs."""
    return FieldMapping(importer, job.columns, job.mapping, replace(job.formats, zone=local), job.key)


def in_one_chunk(importer: Importer, job: Job, rows: Sequence[StoredRow]) -> Sequence[StoredRow]:
    """Return the rows before the first that needs an earlier one to be stored: it changes the same record, or names the record
    that the earlier one makes."""
    return _before_named_above(importer, job, before_repeated_key(importer, job, rows) if job.key else rows)


def _before_named_above(importer: Importer, job: Job, rows: Sequence[StoredRow]) -> Sequence[StoredRow]:
    mapping, above = mapping_of(importer, job), set[str]()
    if job.dry_run or not mapping.names_its_kind:
        return rows
    for position, (_, cells) in enumerate(rows):
        row = orjson.loads(cells)
        if not above.isdisjoint(mapping.names_of_its_kind(row)):
            return rows[:position]
        above.update(mapping.called(row))
    return rows


def before_repeated_key(importer: Importer, job: Job, rows: Sequence[StoredRow]) -> Sequence[StoredRow]:
    """Return the rows before the first that has the key of an earlier one.

    Rows take effect in their order, and a record can change once in a chunk.
    """
    mapping, seen = mapping_of(importer, job), set[str]()
    for position, (_, cells) in enumerate(rows):
        key = mapping.key_of(orjson.loads(cells))
        if key is None:
            continue
        key = address(key) if job.key == "email" else key
        if key in seen:
            return rows[:position]
        seen.add(key)
    return rows


async def import_rows(uow: UnitOfWork, importer: Importer, job: Job, rows: Sequence[StoredRow]) -> Outcome:
    """Make and change the records of a chunk in the unit of work. Returns the counts and the refused rows."""
    chunk = Chunk(uow, importer, job, [Row(line, cells, orjson.loads(cells)) for line, cells in rows])
    return await chunk.work()


class Chunk:
    """The rows of a chunk, and what they refer to. Whatever rows share is asked for once."""

    def __init__(self, uow: UnitOfWork, importer: Importer, job: Job, rows: Sequence[Row]) -> None:
        self._uow, self._importer, self._job, self._rows = uow, importer, job, rows
        self._mapping = mapping_of(importer, job, zone(uow))
        self._outcome = Outcome()
        self._owners: Mapping[str, Sequence[Owner]] = {}
        self._keyed: dict[str, list[UUID]] = {}
        self._made: list[tuple[Row, OwnedRecord]] = []

    async def work(self) -> Outcome:
        """Make and change the records."""
        await self._learn()
        for number, row in enumerate(self._rows):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            if (misfit := self._mapping.misfit(row.cells)) is not None:
                self._refuse(row, [misfit])
                continue
            pending = self._uow.pending
            try:
                if wrong := await self._take(row):
                    self._refuse(row, wrong[:MOST_ERRORS])
            except ValidationError as error:
                self._uow.drop_all_but(pending)
                found = error.errors(include_url=False, include_input=False)[:MOST_ERRORS]
                self._refuse(row, [_place(self._mapping, one) for one in found])
            except Unread as unread:
                self._uow.drop_all_but(pending)
                self._refuse(row, [(self._mapping.column_of([unread.field]), unread.code, str(unread))])
            except DomainError as error:
                self._uow.drop_all_but(pending)
                self._refuse(row, places(self._mapping, error))
        likely = await self._duplicates() if self._job.compares else {}
        self._add(likely)
        if self._job.dry_run and self._job.seen < SHOWN_ROWS:
            await self._show()
        return self._outcome

    async def _learn(self) -> None:
        """Ask for what the rows name: owners, records that they refer to, and records that they change."""
        cells = [row.cells for row in self._rows]
        self._owners = await owners_of(self._uow, [one for row in cells if (one := self._mapping.owner(row))])
        named = self._mapping.named(cells)
        if named or self._job.key is not None:
            # Each search has its index. Without this, a plan that scans the tables, made while they were empty for a file's first
            # chunk, would be kept while the import fills them.
            await (await self._uow.connection()).exec_driver_sql("set local enable_seqscan = off")
        for entity, kind in {(naming.entity, naming.kind) for naming in named}:
            texts = set().union(*(texts for naming, texts in named.items() if naming.kind is kind))
            found = await resolve(self._uow, entity, kind, sorted(texts))
            self._mapping.known |= {
                (naming, text): found[text] for naming, of in named.items() if naming.kind is kind for text in of
            }
        if self._job.key is not None:
            keys = {key for row in cells if (key := self._mapping.key_of(row))}
            self._keyed = await records_by_key(self._uow, self._importer.entity, self._job.key, sorted(keys))
            single = [found[0] for found in self._keyed.values() if len(found) == 1]
            if single:
                await self._uow.lock_all(self._importer.entity, single)

    async def _take(self, row: Row) -> Sequence[Misfit]:
        """Make or change the record of a row. Returns what of the row has the wrong form, if anything."""
        record_id = self._found_by_key(row)
        if record_id is not None:
            return await self._change(row, record_id)
        body, wrong = self._mapping.body(row.cells)
        if not wrong:
            record = await self._importer.make(self._uow, self._importer.schema.model_validate(body))
            if (named := self._mapping.owner(row.cells)) is not None:
                give(self._uow, record, named, self._owners)
            self._made.append((row, record))
        return wrong

    def _found_by_key(self, row: Row) -> UUID | None:
        """Return the record that a row changes; None if it makes one. Raises Unread."""
        key = self._job.key
        if key is None:
            return None
        text = self._mapping.key_of(row.cells)
        if text is None:
            raise Unread("missing", f"Send the {key}: rows find the records that they change by it.", key)
        found = self._keyed.get(text, ())
        words = self._importer.entity.entity().replace("_", " ")
        if len(found) > 1:
            message = f"Several {words} records have this {key}. Send a key that only one has."
            raise Unread("ambiguous-reference", message, key)
        if not found and key == "number":
            message = f"No {words} that you may read has this number. Correct it, or import the row without a key."
            raise Unread("unknown-reference", message, key)
        return found[0] if found else None

    async def _change(self, row: Row, record_id: UUID) -> Sequence[Misfit]:
        body, wrong = self._mapping.change(row.cells, clear=self._job.clears)
        if wrong:
            return wrong
        assert self._importer.patch is not None
        assert self._importer.change is not None
        patch = self._importer.patch.model_validate(body)
        record = await self._uow.load(self._importer.entity, record_id)
        before = dict(record.__dict__)
        try:
            if (named := self._mapping.owner(row.cells)) is not None:
                require_same(self._uow, record, named, self._owners)
            await self._importer.change(self._uow, record_id, patch)
        except (DomainError, Unread):
            record.__dict__.update(before)
            raise
        self._outcome.done += 1
        self._outcome.updated += 1
        self._outcome.note(row.line, "update", record)
        return ()

    def _refuse(self, row: Row, found: Sequence[Misfit]) -> None:
        self._outcome.failed += 1
        self._outcome.refuse(row.line, row.text, found)
        self._outcome.note(row.line, "refuse", None)

    def _add(self, likely: Mapping[int, Sequence[Duplicate]]) -> None:
        imported: set[int] = set()
        for position, (row, record) in enumerate(self._made):
            # A row that was left out does not make another row a duplicate.
            counts = (one for one in likely.get(position, ()) if one.earlier is None or one.earlier in imported)
            if duplicate := next(counts, None):
                message = "A record or an earlier row has the same value or a similar name."
                column = self._mapping.column_of([duplicate.field])
                self._outcome.refuse(row.line, row.text, [(column, "possible-duplicate", message)])
                if self._job.skips:
                    self._outcome.skipped += 1
                    self._outcome.note(row.line, "skip", None)
                    continue
            self._uow.add(record, self._importer.event)
            imported.add(position)
            self._outcome.done += 1
            self._outcome.note(row.line, "create", record)

    async def _duplicates(self) -> Mapping[int, Sequence[Duplicate]]:
        """Return the likely duplicates of the chunk's new records, by the position of the record."""
        found: dict[int, list[Duplicate]] = {}
        records = [record for _, record in self._made]
        if self._importer.duplicates is not None and records:
            conn = await self._uow.connection()
            await conn.exec_driver_sql(f"set local statement_timeout = '{COMPARE_SECONDS}s'")
            for duplicate in await self._importer.duplicates(self._uow, records):
                found.setdefault(duplicate.position, []).append(duplicate)
            await conn.exec_driver_sql("set local statement_timeout = 0")
        return found

    async def _show(self) -> None:
        """Keep the first rows as they would be. What only a real import draws is left out."""
        for line, action, record in self._outcome.first_rows():
            shown = None
            if record is not None:
                shown = dict((await self._uow.render(record))[0])
                if action == "create":
                    shown["id"] = None
                    if self._uow.is_placeholder(shown.get("number")):
                        shown["number"] = None
            self._outcome.preview.append({"row": line, "action": action, "record": shown})


def _place(mapping: FieldMapping, found: Any) -> Misfit:
    place = [str(step) for step in found["loc"]]
    if found["type"] == "missing" and len(place) > 1:
        return mapping.column_beside(place), "missing", f"{'.'.join(place)} is required too."
    return mapping.column_of(place) if place else "", str(found["type"]).replace("_", "-"), of_rule(found)


def places(mapping: FieldMapping, error: DomainError) -> list[Misfit]:
    """Return the columns that an error is about, each with the code and the message."""
    if not error.errors:
        return [("", error.slug, error.detail)]
    return [(mapping.column_of(e.pointer.split("/")[1:]), e.code, e.message) for e in error.errors]
