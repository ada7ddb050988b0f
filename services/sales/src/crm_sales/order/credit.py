"""Whether a customer may buy on credit: the hold and the limit of its account (Dataverse: CreditOnHold, CreditLimit).

The open amount is what is invoiced and not paid, plus what is ordered and not billed, in base currency. The order that is
submitted is not part of it. A draft of an order's invoice counts as invoiced, because the order counts it as billed.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from crm_contracts.access import Privilege
from crm_contracts.money import Money
from crm_contracts.rights import CREDIT_OVERRIDE
from crm_contracts.sales.choices import InvoiceKind
from crm_kit.errors import OutOfReach
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.invoice.model import RELEASING, Invoice
from crm_sales.order.domain import require_credit, require_no_hold
from crm_sales.order.model import Order

_OWES = ("submitted", "fulfilled")
"""Statuses of orders of which something may not be billed."""


async def check_credit(uow: UnitOfWork, order: Order, account: Account, *, force: bool) -> bool:
    """Refuse to submit an order on credit that the account does not have. Return whether ``force`` was needed.

    Orders of an account with a limit are submitted one after another, so that two of them never exceed it together.

    409 ``credit-hold`` or ``credit-limit``, which names no amounts of an account that the caller may not read; 403 if the
    caller forces it without the right ``credit_override`` for the account.
    """
    limit = account.credit_limit_base
    if not account.credit_hold and limit is None:
        return False
    if force:
        uow.principal.require(CREDIT_OVERRIDE.name, Privilege.WRITE)
        if not uow.reach(CREDIT_OVERRIDE.name, Privilege.WRITE).covers_record(account):
            raise OutOfReach(Privilege.WRITE.value, CREDIT_OVERRIDE.name)
    if not force:
        require_no_hold(account.credit_hold)
    elif account.credit_hold:
        return True
    if limit is None:
        return False
    await uow.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(account.id), 0))))
    amount = (await uow.execute(_open_amount(account.id, order.id))).scalar_one()
    open_amount = Money.rounded(amount, limit.currency)
    if force:
        return open_amount + order.total_base > limit
    require_credit(limit, open_amount, order.total_base, readable=uow.reach(Account).covers_record(account))
    return False


def _open_amount(account_id: UUID, order_id: UUID) -> Select[tuple[Decimal]]:
    owed, part, order = Invoice.__table__.c, Invoice.__table__.alias("part").c, Order.__table__.c
    unpaid = _sum_of(_signed(owed, owed.balance_base_amount)).where(
        owed.customer_account_id == account_id,
        or_(
            owed.status == "issued",
            owed.status_reason == "partial",
            and_(owed.status == "draft", owed.kind == InvoiceKind.INVOICE, owed.order_id.is_not(None)),
        ),
    )
    billed = _sum_of(_signed(part, part.total_amount)).where(
        part.order_id == order.id,
        or_(
            and_(part.kind == InvoiceKind.INVOICE, part.status != "canceled"),
            and_(part.bill_again, part.status.in_(RELEASING)),
        ),
    )
    unbilled = _sum_of((order.total_amount - billed.scalar_subquery()) * order.exchange_rate).where(
        order.customer_account_id == account_id, order.status.in_(_OWES), order.id != order_id
    )
    return select(unpaid.scalar_subquery() + unbilled.scalar_subquery())


def _sum_of(amount: ColumnElement[Any]) -> Select[tuple[Decimal]]:
    return select(func.coalesce(func.sum(amount), 0))


def _signed(invoice: ReadOnlyColumnCollection[str, Column[Any]], amount: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((invoice.kind == InvoiceKind.CREDIT_NOTE, -amount), else_=amount)
