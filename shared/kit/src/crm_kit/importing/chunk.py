"""Makes records from the rows of a chunk, and reports why a row is refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import ValidationError

from crm_contracts.access import Depth, Privilege
from crm_kit.errors import DomainError, FieldError, InvalidValue
from crm_kit.http.phrases import of_rule
from crm_kit.identifiers import ASCII_FOLD, fold
from crm_kit.importing.importer import Duplicate, Importer
from crm_kit.importing.mapping import OWNER, FieldMapping
from crm_kit.importing.outcome import MOST_ERRORS, Outcome
from crm_kit.importing.queue import Job, StoredRow
from crm_kit.store.record import OwnedRecord
from crm_kit.work.uow import UnitOfWork

BREATH: Final = 50
"""Rows after which the event loop runs its other tasks: relay, consumers and health checks."""
COMPARE_SECONDS: Final = 3
"""The longest time that a statement may compare a chunk with stored records. Then a smaller chunk is tried."""
LONGEST_EMAIL: Final = 320


@dataclass(frozen=True, slots=True)
class Owner:
    """An active user as an owner."""

    kind: str
    id: UUID
    unit: UUID


async def import_rows(uow: UnitOfWork, importer: Importer, job: Job, rows: Sequence[StoredRow]) -> Outcome:
    """Make the records of a chunk and add them to the unit of work. Returns the counts and the refused rows."""
    mapping = FieldMapping(importer.schema, job.columns, job.mapping)
    outcome = Outcome()
    parsed = [(line, cells, orjson.loads(cells)) for line, cells in rows]
    owners = await _owners(uow, mapping, [cells for *_, cells in parsed])
    made: list[tuple[int, str, OwnedRecord]] = []
    for number, (line, text, cells) in enumerate(parsed):
        if number % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        if (misfit := mapping.misfit(cells)) is not None:
            outcome.failed += 1
            outcome.refuse(line, text, [misfit])
            continue
        try:
            record = await importer.make(uow, importer.schema.model_validate(mapping.body(cells)))
            if (email := mapping.owner(cells)) is not None:
                _give(uow, importer, record, email, owners)
            made.append((line, text, record))
        except ValidationError as error:
            outcome.failed += 1
            found = error.errors(include_url=False, include_input=False)[:MOST_ERRORS]
            outcome.refuse(line, text, [_place(mapping, one) for one in found])
        except DomainError as error:
            outcome.failed += 1
            outcome.refuse(line, text, places(mapping, error))
    likely = await _duplicates(uow, importer, [record for *_, record in made]) if job.compares else {}
    _add(uow, importer, job, mapping, made, likely, outcome)
    return outcome


def _add(
    uow: UnitOfWork,
    importer: Importer,
    job: Job,
    mapping: FieldMapping,
    made: Sequence[tuple[int, str, OwnedRecord]],
    likely: Mapping[int, Sequence[Duplicate]],
    outcome: Outcome,
) -> None:
    imported: set[int] = set()
    for position, (line, text, record) in enumerate(made):
        # A row that was left out does not make another row a duplicate.
        counts = (one for one in likely.get(position, ()) if one.earlier is None or one.earlier in imported)
        if duplicate := next(counts, None):
            message = "A record or an earlier row has the same value or a similar name."
            outcome.refuse(line, text, [(mapping.column_of([duplicate.field]), "possible-duplicate", message)])
            if job.skips:
                outcome.skipped += 1
                continue
        uow.add(record, importer.event)
        imported.add(position)
        outcome.done += 1


async def _owners(uow: UnitOfWork, mapping: FieldMapping, rows: Sequence[Sequence[str]]) -> dict[str, Owner]:
    """Return the active users that the rows of a chunk name as owners, by e-mail address. It takes one statement."""
    named = {fold(email) for cells in rows if (email := mapping.owner(cells))}
    # Other addresses cannot be stored, so no user has them.
    emails = [email for email in named if len(email) <= LONGEST_EMAIL and email.isascii() and "\x00" not in email]
    if not emails:
        return {}
    conn = await uow.connection()
    found = await conn.exec_driver_sql(
        f"select {ASCII_FOLD.format('email')}, kind, id, business_unit_id from principal_ref"
        f" where {ASCII_FOLD.format('email')} = any($1::text[]) and active and not deleted",
        (emails,),
    )
    users: list[Any] = list(found)
    return {row[0]: Owner(row[1], row[2], row[3]) for row in users}


def _give(uow: UnitOfWork, importer: Importer, record: OwnedRecord, email: str, owners: Mapping[str, Owner]) -> None:
    owner = owners.get(fold(email))
    if owner is not None and owner.id == uow.principal.id:
        return
    # The privilege is checked first, so that callers without it do not learn who has the address.
    if uow.principal.depth(importer.entity.entity(), Privilege.ASSIGN) is Depth.NONE:
        message = (
            f"Leave the owner out: you lack the privilege to assign the {importer.entity.entity().replace('_', ' ')}."
        )
        raise DomainError("forbidden", message, (FieldError(f"/{OWNER}", "forbidden", message),))
    if owner is None:
        raise InvalidValue(f"/{OWNER}", "unknown-reference", "Send the e-mail address of an active user.")
    record.owner_type, record.owner_id, record.business_unit_id = owner.kind, owner.id, owner.unit


async def _duplicates(
    uow: UnitOfWork, importer: Importer, records: Sequence[OwnedRecord]
) -> Mapping[int, Sequence[Duplicate]]:
    """Return the likely duplicates of a chunk's records, by the position of the record."""
    found: dict[int, list[Duplicate]] = {}
    if importer.duplicates is not None and records:
        conn = await uow.connection()
        await conn.exec_driver_sql(f"set local statement_timeout = '{COMPARE_SECONDS}s'")
        for duplicate in await importer.duplicates(uow, records):
            found.setdefault(duplicate.position, []).append(duplicate)
        await conn.exec_driver_sql("set local statement_timeout = 0")
    return found


def _place(mapping: FieldMapping, found: Any) -> tuple[str, str, str]:
    place = [str(step) for step in found["loc"]]
    if found["type"] == "missing" and len(place) > 1:
        return mapping.column_beside(place), "missing", f"{'.'.join(place)} is required too."
    return mapping.column_of(place) if place else "", str(found["type"]).replace("_", "-"), of_rule(found)


def places(mapping: FieldMapping, error: DomainError) -> list[tuple[str, str, str]]:
    """Return the columns that an error is about, each with the code and the message."""
    if not error.errors:
        return [("", error.slug, error.detail)]
    return [(mapping.column_of(e.pointer.split("/")[1:]), e.code, e.message) for e in error.errors]
