"""Invoice numbers: gapless, as books are kept. One row counts; who issues holds it until the commit.

A sequence would lose the numbers of transactions that fail. The counter is the last lock that a command takes, so that
nobody waits for anything else while others wait for the counter.
"""

from sqlalchemy import CheckConstraint, Integer, SmallInteger, Table, update
from sqlalchemy.orm import Mapped, mapped_column

from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base

PREFIX = "INV"


class InvoiceCounter(Base):
    """How many invoices and credit notes were issued: one row, made with the table."""

    __tablename__ = "invoice_counter"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    issued: Mapped[int] = mapped_column(Integer)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


COUNTER: Table = InvoiceCounter.__table__  # type: ignore[assignment]  # a mapped class has a table, not any FromClause
DRAW = update(COUNTER).values(issued=COUNTER.c.issued + 1).returning(COUNTER.c.issued)


async def next_number(uow: UnitOfWork) -> str:
    """The next number; whoever asks next waits until this unit of work commits, and gets this one if it does not."""
    conn = await uow.transaction()
    return f"{PREFIX}-{(await conn.execute(DRAW)).scalar_one():05d}"
