"""Duplicates among the rows of an import: the rules of a create, for a chunk of rows at once."""

from collections.abc import Sequence

from crm_kit.db import OwnedRecord
from crm_kit.importing.importer import Duplicate
from crm_kit.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.duplicates.finding import Field, find, find_among, searches_for
from crm_sales.duplicates.likeness import Somebody, likeness_of
from crm_sales.lead.model import Lead


async def duplicates_of_rows(uow: UnitOfWork, records: Sequence[OwnedRecord]) -> list[Duplicate]:
    """Which of a chunk's rows are likely known already, or are like an earlier row: two statements for all of them."""
    somebodies = [record for record in records if isinstance(record, Lead | Contact | Account)]
    conn = await uow.connection()
    # Each rule has its index, and a plan that reads whole tables because they were empty when a file's first chunk came
    # would be kept while the file fills them.
    await conn.exec_driver_sql("set local enable_seqscan = off")
    known = await find(conn, searches_for(somebodies), limit=1)
    among = await find_among(conn, [(n, likeness_of(one)) for n, one in enumerate(somebodies)])
    return [
        *(Duplicate(match.wanted, _field(somebodies[match.wanted], match.fields)) for match in known),
        *(Duplicate(later, _field(somebodies[later], fields), earlier) for later, earlier, fields in among),
    ]


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
