"""Invoice numbers without gaps, as accounting requires. The issuing transaction locks the counter row until its commit.

A sequence would lose the numbers of failed transactions. The counter is the last lock that a command takes, so its
holder never waits for another lock while others wait for the counter.
"""

from sqlalchemy import CheckConstraint, Integer, SmallInteger, Table, update
from sqlalchemy.orm import Mapped, mapped_column

from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base

PREFIX = "INV"


class InvoiceCounter(Base):
    """The number of issued invoices and credit notes. The table has exactly one row, inserted by its migration."""

    __tablename__ = "invoice_counter"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    issued: Mapped[int] = mapped_column(Integer)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


COUNTER: Table = InvoiceCounter.__table__  # type: ignore[assignment]  # a mapped class has a table, not any FromClause
DRAW = update(COUNTER).values(issued=COUNTER.c.issued + 1).returning(COUNTER.c.issued)


async def next_number(uow: UnitOfWork) -> str:
    """Return the next number.

    Concurrent callers wait until this unit of work ends; if it fails, the next caller gets this number.
    """
    conn = await uow.transaction()
    return f"{PREFIX}-{(await conn.execute(DRAW)).scalar_one():05d}"
