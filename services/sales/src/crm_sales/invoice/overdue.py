"""The invoices that have become overdue."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select, text

from crm_sales.calendar import day_at
from crm_sales.invoice.model import OWED, Invoice


def due_and_unpaid(now: datetime) -> Select[UUID]:
    """Return unpaid invoices after their due date in the organisation's time zone that are not marked yet, oldest due
    date first.

    Credit notes have no due date.
    """
    return select(Invoice.id).where(text(OWED), Invoice.due_date < day_at(now)).order_by(Invoice.due_date)
