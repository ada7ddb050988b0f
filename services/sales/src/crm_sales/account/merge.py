"""Merge an account into another (Dataverse: Merge)."""

from typing import get_args
from uuid import UUID

from crm_contracts.sales.account import AccountMerged, AccountUpdated
from crm_kit.records.merging import both
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.commands import TREE
from crm_sales.account.model import Account
from crm_sales.account.schemas import AccountMerge, AccountMergeField
from crm_sales.customer_link.references import know_name
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.merging.moving import MOVER
from crm_sales.merging.taking import values_taken


async def merge_account(uow: UnitOfWork, account_id: UUID, body: AccountMerge) -> Account:
    """Replace an active account by the survivor, also in the account hierarchy. Return the survivor."""
    loser, survivor = await both(uow, Account, account_id, body.into)
    fillable = get_args(AccountMergeField) if body.fill_empty else ()
    values = values_taken(loser, survivor, body.fields, fillable, Account.money_fields)
    parent_id = await TREE.place_after_merge(
        uow, loser, survivor, named="parent_account_id" in body.fields, filled="parent_account_id" in values
    )
    apply(survivor, {**values, "parent_account_id": parent_id})
    await pin_amounts(uow, survivor, Account.money_fields)
    loser.merge_into(survivor)
    uow.emit(loser, AccountMerged, survivor_id=survivor.id)
    uow.emit_if_changed(survivor, AccountUpdated)
    know_name(uow, survivor)
    await MOVER.begin(uow, Account.entity(), loser.id, survivor.id)
    return survivor
