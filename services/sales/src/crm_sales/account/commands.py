"""Commands on accounts."""

from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.account import (
    AccountActivated,
    AccountAssigned,
    AccountCreated,
    AccountDeactivated,
    AccountDeleted,
    AccountUpdated,
)
from crm_kit.importing.importer import Importer
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, Deactivation, apply, assign, require_status
from crm_kit.records.tree import Tree
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.account.domain import MAX_ANCESTORS
from crm_sales.account.model import Account
from crm_sales.account.schemas import AccountCreate, AccountUpdate
from crm_sales.contact.model import Contact
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.importing import duplicates_of_rows
from crm_sales.duplicates.likeness import likeness_of
from crm_sales.duplicates.refusing import refuse_duplicates_of
from crm_sales.duplicates.schemas import OnDuplicates
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.merging.moving import MOVER
from crm_sales.own_number import require_own_number

TREE = Tree(Account, "parent_account_id", MAX_ANCESTORS)


async def create_account(uow: UnitOfWork, body: AccountCreate, duplicates: OnDuplicates = "allow") -> Account:
    """Create an account. The caller owns it."""
    await uow.start(Account)
    account = await make_account(uow, body)
    if duplicates == "report":
        await refuse_duplicates_of(uow, account)
    return uow.add(account, AccountCreated)


async def make_account(uow: UnitOfWork, body: AccountCreate) -> Account:
    """Make an account of a body without adding it to the unit of work. Creates and imports share this."""
    account = Account(id=new_id(), **normal_details(uow, {name: plain(value) for name, value in body}))
    require_own_number(account.number, "ACC")
    await _check_references(uow, account, {"parent_account_id", "primary_contact_id"})
    if account.number is None:
        account.number = await uow.number(Account.numbered)
    await pin_amounts(uow, account, Account.money_fields)
    return account


async def update_account(
    uow: UnitOfWork, account_id: UUID, body: AccountUpdate, duplicates: OnDuplicates = "allow"
) -> Account:
    """Change fields of an active account. A patch that changes no value does nothing."""
    account = await uow.get(Account, account_id, Privilege.WRITE)
    require_status(account, "active")
    known = likeness_of(account)
    values = normal_details(uow, body.onto(account))
    changed = {name for name, value in values.items() if getattr(account, name) != value}
    if "number" in changed:
        require_own_number(values["number"], "ACC")
    apply(account, values)
    await _check_references(uow, account, changed)
    await pin_amounts(uow, account, Account.money_fields)
    if duplicates == "report" and likeness_of(account) != known:
        await refuse_duplicates_of(uow, account)
    return uow.emit_if_changed(account, AccountUpdated)


IMPORTER = Importer(
    Account, AccountCreate, AccountCreated, make_account, duplicates_of_rows, patch=AccountUpdate, change=update_account
)


async def activate_account(uow: UnitOfWork, account_id: UUID) -> Account:
    """Activate an inactive account."""
    account = await uow.get(Account, account_id, Privilege.WRITE)
    account.move("activate")
    return uow.emit(account, AccountActivated)


async def deactivate_account(uow: UnitOfWork, account_id: UUID, body: Deactivation) -> Account:
    """Make the account read-only and refuse new references to it. Existing references stay."""
    account = await uow.get(Account, account_id, Privilege.WRITE)
    account.move("deactivate")
    return uow.emit(account, AccountDeactivated, reason=body.reason)


async def assign_account(uow: UnitOfWork, account_id: UUID, body: Assignment) -> Account:
    """Assign the account to another owner."""
    account = await uow.get(Account, account_id, Privilege.ASSIGN)
    await assign(uow, account, body, AccountAssigned)
    return account


async def delete_account(uow: UnitOfWork, account_id: UUID) -> None:
    """Delete an account that no record refers to."""
    account = await uow.get(Account, account_id, Privilege.DELETE)
    await MOVER.refuse_target(uow, account)
    await refuse_in_use(uow, account)
    uow.remove(account, AccountDeleted)


async def _check_references(uow: UnitOfWork, account: Account, changed: set[str]) -> None:
    parent_id: Any = account.parent_account_id
    if "parent_account_id" in changed and parent_id is not None:
        if parent_id != account.id:
            await uow.refer(Account, parent_id, "/parent_account_id")
        await TREE.require_place(uow, account, parent_id)
    if "primary_contact_id" in changed and account.primary_contact_id is not None:
        await uow.refer(Contact, account.primary_contact_id, "/primary_contact_id")
