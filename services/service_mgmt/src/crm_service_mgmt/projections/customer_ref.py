"""``CustomerRef``: the copy of sales' accounts and contacts, to which cases refer."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Mapped

from crm_kit.copies.referring import RecordCopy, find_copies, names_in, require_reference
from crm_kit.records.filtering import NameTable
from crm_kit.store.columns import name_indexes, search_index
from crm_kit.store.searching import search_column, search_rule
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base


class CustomerRef(RecordCopy, Base):
    """An account or contact: the fields that a case shows, and those that decide whether a case can refer to it."""

    __tablename__ = "customer_ref"

    search_text: Mapped[str] = search_column("name")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (*name_indexes("customer_ref", "name"), search_index())


CUSTOMERS: Final = (
    NameTable("customer_id", "customer_ref", "name", ("account", "contact"), has_search=True, only="not {0}.deleted"),
)
"""The customers of cases, for searches and filters by name."""


names_of = names_in(CustomerRef)


async def refer_to_customer(uow: UnitOfWork, kind: str, record_id: UUID, pointer: str) -> None:
    """Check a new reference to an account or contact: known, readable to the caller and active, else 422."""
    found = await find_copies(uow, CustomerRef, {record_id})
    await require_reference(uow, found.get(record_id), kind, record_id, pointer)
