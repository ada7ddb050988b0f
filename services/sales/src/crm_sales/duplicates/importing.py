"""Duplicates among the rows of an import. A chunk of rows is checked at once by the rules of a create."""

from collections.abc import Sequence
from dataclasses import replace

from crm_kit.importing.importer import Duplicate
from crm_kit.store.record import OwnedRecord
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.duplicates.finding import FIELDS, Field, Target, Wanted, find, find_among, targets_of
from crm_sales.duplicates.likeness import Likeness, Somebody, likeness_of
from crm_sales.lead.model import Lead

CANDIDATES = 50
"""Stored records that one row is compared with. Without it, a file that repeats a name would compare every row with all
of them."""


async def duplicates_of_rows(uow: UnitOfWork, records: Sequence[OwnedRecord]) -> list[Duplicate]:
    """Find the rows of a chunk that likely exist already or that match an earlier row, in two statements."""
    somebodies = [record for record in records if isinstance(record, Lead | Contact | Account)]
    conn = await uow.connection()
    # Each rule has its index. Without this, a plan that scans the tables, made while they were empty for a file's first
    # chunk, would be kept while the import fills them.
    await conn.exec_driver_sql("set local enable_seqscan = off")
    searches, alike = _searches_for(somebodies)
    known = await find(conn, searches, limit=1, candidates=CANDIDATES)
    among = await find_among(conn, [(n, likeness_of(one)) for n, one in enumerate(somebodies)])
    return [
        *(
            Duplicate(position, _field(somebodies[position], match.fields))
            for match in sorted(known, key=lambda match: FIELDS.index(match.fields[0]))
            for position in alike[match.wanted]
        ),
        *(Duplicate(later, _field(somebodies[later], fields), earlier) for later, earlier, fields in among),
    ]


def _searches_for(
    records: Sequence[Somebody],
) -> tuple[list[tuple[Target, list[Wanted]]], list[list[int]]]:
    """Return the searches, and for each number the positions of the rows that it stands for.

    Each name is searched once, separately from addresses and numbers, because names take the most time.
    """
    searches: dict[Target, list[Wanted]] = {}
    numbers: dict[tuple[Target, Likeness], int] = {}
    alike: list[list[int]] = []
    for position, record in enumerate(records):
        whole = likeness_of(record)
        for likeness in (replace(whole, name=None), Likeness(whole.kind, whole.name, id=whole.id)):
            if likeness.empty:
                continue
            for target in targets_of(record, likeness):
                number = numbers.get((target, likeness))
                if number is None:
                    number = numbers[target, likeness] = len(alike)
                    alike.append([])
                    searches.setdefault(target, []).append((number, likeness))
                alike[number].append(position)
    return list(searches.items()), alike


def _field(record: Somebody, fields: Sequence[Field]) -> str:
    """Return the row's field to report; the import finds the file's column by it."""
    if fields[0] != "name":
        return fields[0]
    match record:
        case Account():
            return "name"
        case Lead() if not record.last_name:
            return "company_name"
    return "last_name"
