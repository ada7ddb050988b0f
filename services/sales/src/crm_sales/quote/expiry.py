"""Which quotes time has closed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, literal_column, select

from crm_sales.calendar import day_at
from crm_sales.quote.model import Quote


def due_to_expire(now: datetime) -> Select[UUID]:
    """Active quotes of which the last day has passed where the organisation is, the longest past first."""
    # Written out, for the index of the few: a plan for any status could not use it.
    active = Quote.status == literal_column("'active'")
    past = select(Quote.id).where(active, Quote.effective_to < day_at(now))
    return past.order_by(Quote.effective_to)
