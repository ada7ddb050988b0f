"""References to customers: accounts and contacts."""

from crm_kit.store.presenter import ReferenceName
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customer_link.model import BelongsToCustomer
from crm_sales.customer_link.schemas import CustomerInput

CUSTOMERS: dict[str, type[Account] | type[Contact]] = {"account": Account, "contact": Contact}


async def set_customer(
    uow: UnitOfWork, record: BelongsToCustomer, wanted: CustomerInput | None
) -> Account | Contact | None:
    """Set or clear the customer. A new customer must be active and readable to the caller; it is returned."""
    if wanted is None:
        record.belong_to(None)
    elif (wanted.type, wanted.id) != (record.customer_type, record.customer_id):
        customer = await uow.refer(CUSTOMERS[wanted.type], wanted.id, "/customer/id")
        record.belong_to(customer)
        know_name(uow, customer)
        return customer
    return None


def know_name(uow: UnitOfWork, customer: Account | Contact | None) -> None:
    """Give the name to the unit of work. This saves a lookup, and a new customer is not in the database yet."""
    match customer:
        case Account():
            uow.names[customer.id] = ReferenceName(
                customer.name, owner=customer.owner_id, unit=customer.business_unit_id
            )
        case Contact():
            uow.names[customer.id] = ReferenceName(
                customer.full_name, owner=customer.owner_id, unit=customer.business_unit_id
            )
