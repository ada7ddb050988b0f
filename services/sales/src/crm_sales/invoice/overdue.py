"""Which invoices time has made overdue."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select, text

from crm_sales.calendar import day_at
from crm_sales.invoice.model import OWED, Invoice


def due_and_unpaid(now: datetime) -> Select[UUID]:
    """Invoices of which the due date has passed where the organisation is and something is left to pay, and that were not told
    of yet; the longest past first. A credit note has no due date."""
    return select(Invoice.id).where(text(OWED), Invoice.due_date < day_at(now)).order_by(Invoice.due_date)
