"""Commands on contacts."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.contact import (
    ContactActivated,
    ContactAssigned,
    ContactCreated,
    ContactDeactivated,
    ContactDeleted,
    ContactUpdated,
)
from crm_kit.importing.importer import Importer
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, Deactivation, apply, assign, require_status
from crm_kit.records.references import check_references
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.contact.domain import full_name
from crm_sales.contact.model import Contact
from crm_sales.contact.schemas import ContactCreate, ContactUpdate
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.importing import duplicates_of_rows
from crm_sales.duplicates.likeness import likeness_of
from crm_sales.duplicates.refusing import refuse_duplicates_of
from crm_sales.duplicates.schemas import OnDuplicates
from crm_sales.merging.moving import MOVER


async def create_contact(uow: UnitOfWork, body: ContactCreate, duplicates: OnDuplicates = "allow") -> Contact:
    """Create a contact. The caller owns it."""
    await uow.start(Contact)
    contact = await make_contact(uow, body)
    if duplicates == "report":
        await refuse_duplicates_of(uow, contact)
    return uow.add(contact, ContactCreated)


async def make_contact(uow: UnitOfWork, body: ContactCreate) -> Contact:
    """Make a contact of a body without adding it to the unit of work. Creates and imports share this."""
    values = normal_details(uow, {name: plain(value) for name, value in body})
    await check_references(uow, Contact, values)
    return Contact(
        number=await uow.number(Contact.numbered), full_name=full_name(body.first_name, body.last_name), **values
    )


async def update_contact(
    uow: UnitOfWork, contact_id: UUID, body: ContactUpdate, duplicates: OnDuplicates = "allow"
) -> Contact:
    """Change fields of an active contact. A patch that changes no value does nothing."""
    contact = await uow.get(Contact, contact_id, Privilege.WRITE)
    require_status(contact, "active")
    known = likeness_of(contact)
    values = normal_details(uow, body.onto(contact))
    await check_references(uow, Contact, values, contact)
    apply(contact, values)
    contact.full_name = full_name(contact.first_name, contact.last_name)
    if duplicates == "report" and likeness_of(contact) != known:
        await refuse_duplicates_of(uow, contact)
    return uow.emit_if_changed(contact, ContactUpdated)


IMPORTER = Importer(
    Contact, ContactCreate, ContactCreated, make_contact, duplicates_of_rows, patch=ContactUpdate, change=update_contact
)


async def activate_contact(uow: UnitOfWork, contact_id: UUID) -> Contact:
    """Activate an inactive contact."""
    contact = await uow.get(Contact, contact_id, Privilege.WRITE)
    contact.move("activate")
    return uow.emit(contact, ContactActivated)


async def deactivate_contact(uow: UnitOfWork, contact_id: UUID, body: Deactivation) -> Contact:
    """Make the contact read-only and refuse new references to it. Existing references stay."""
    contact = await uow.get(Contact, contact_id, Privilege.WRITE)
    contact.move("deactivate")
    return uow.emit(contact, ContactDeactivated, reason=body.reason)


async def assign_contact(uow: UnitOfWork, contact_id: UUID, body: Assignment) -> Contact:
    """Assign the contact to another owner."""
    contact = await uow.get(Contact, contact_id, Privilege.ASSIGN)
    await assign(uow, contact, body, ContactAssigned)
    return contact


async def delete_contact(uow: UnitOfWork, contact_id: UUID) -> None:
    """Delete a contact that no record refers to."""
    contact = await uow.get(Contact, contact_id, Privilege.DELETE)
    await MOVER.refuse_target(uow, contact)
    await refuse_in_use(uow, contact)
    uow.remove(contact, ContactDeleted)
