"""``CustomerRef``: the copy of sales' accounts and contacts, to which cases refer."""

from uuid import UUID

from crm_kit.copies.referring import RecordCopy, find_copies, names_in, require_reference
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base


class CustomerRef(RecordCopy, Base):
    """An account or contact: the fields that a case shows, and those that decide whether a case can refer to it."""

    __tablename__ = "customer_ref"


names_of = names_in(CustomerRef)


async def refer_to_customer(uow: UnitOfWork, kind: str, record_id: UUID, pointer: str) -> None:
    """Check a new reference to an account or contact: known, readable to the caller and active, else 422."""
    found = await find_copies(uow, CustomerRef, {record_id})
    await require_reference(uow, found.get(record_id), kind, record_id, pointer)
