"""Who a record may belong to: accounts and contacts."""

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
    """Make the record belong to somebody else, active and readable, or to nobody; the new customer, if there is one."""
    if wanted is None:
        record.belong_to(None)
    elif (wanted.type, wanted.id) != (record.customer_type, record.customer_id):
        customer = await uow.refer(CUSTOMERS[wanted.type], wanted.id, "/customer/id")
        record.belong_to(customer)
        know_name(uow, customer)
        return customer
    return None


def know_name(uow: UnitOfWork, customer: Account | Contact | None) -> None:
    """Spare the unit of work the look-up of a name that is in hand, or not in the database yet."""
    match customer:
        case Account():
            uow.names[customer.id] = ReferenceName(
                customer.name, owner=customer.owner_id, unit=customer.business_unit_id
            )
        case Contact():
            uow.names[customer.id] = ReferenceName(
                customer.full_name, owner=customer.owner_id, unit=customer.business_unit_id
            )
