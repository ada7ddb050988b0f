"""Duplicates among the rows of an import: the rules of a create, for a chunk of rows at once."""

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
"""Stored records that a row is compared with: a file of one name over and over would meet all of them with each row."""


async def duplicates_of_rows(uow: UnitOfWork, records: Sequence[OwnedRecord]) -> list[Duplicate]:
    """Which of a chunk's rows are likely known already, or are like an earlier row: two statements for all of them."""
    somebodies = [record for record in records if isinstance(record, Lead | Contact | Account)]
    conn = await uow.connection()
    # Each rule has its index, and a plan that reads whole tables because they were empty when a file's first chunk came
    # would be kept while the file fills them.
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
    """Where to look for whom, and for each who is looked for the positions of the rows that are like that.

    Names are looked for once each and apart from what is unique to a row, because they are what takes long.
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
    """The field of the row that tells, by which its column in the file is found."""
    if fields[0] != "name":
        return fields[0]
    match record:
        case Account():
            return "name"
        case Lead() if not record.last_name:
            return "company_name"
    return "last_name"
