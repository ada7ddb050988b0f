"""Accounts form trees. A change of parent is checked alone, so that two of them can never close a circle together."""

from uuid import UUID

from sqlalchemy import bindparam, func, literal, select, text

from crm_kit.errors import InvalidValue
from crm_kit.uow import UnitOfWork
from crm_sales.account.domain import MAX_ANCESTORS
from crm_sales.account.model import Account

TREE_LOCK = 7_263_101

_start = select(Account.id, Account.parent_account_id, literal(1).label("depth")).where(Account.id == bindparam("id"))
_up = _start.cte("up", recursive=True)
_next = select(Account.id, Account.parent_account_id, _up.c.depth + 1).join(_up, Account.id == _up.c.parent_account_id)
_up = _up.union_all(_next.where(_up.c.depth <= MAX_ANCESTORS))
ANCESTORS = select(_up.c.id)

_below = select(Account.id, literal(0).label("depth")).where(Account.id == bindparam("id")).cte("below", recursive=True)
_child = select(Account.id, _below.c.depth + 1).join(_below, Account.parent_account_id == _below.c.id)
_below = _below.union_all(_child.where(_below.c.depth <= MAX_ANCESTORS))
HEIGHT = select(func.max(_below.c.depth))


async def require_place(uow: UnitOfWork, account: Account, parent_id: UUID) -> None:
    """422 ``circular-parent`` when the parent lies below the account, ``too-deep`` past 50 accounts on one line.

    For an account that exists, call it inside the transaction: it then holds the tree until the end. A new account has
    nothing below it and closes no circle.
    """
    await uow.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": TREE_LOCK})
    above = (await uow.execute(ANCESTORS, {"id": parent_id})).scalars().all()
    if account.id in above:
        raise InvalidValue("/parent_account_id", "circular-parent", "The account would be its own ancestor.")
    below = (await uow.execute(HEIGHT, {"id": account.id})).scalar_one_or_none() or 0
    if len(above) + below > MAX_ANCESTORS:
        message = f"A tree of accounts is at most {MAX_ANCESTORS} accounts deep below its root."
        raise InvalidValue("/parent_account_id", "too-deep", message)
