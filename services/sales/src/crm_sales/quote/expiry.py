"""The quotes that have expired."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, literal_column, select

from crm_sales.calendar import day_at
from crm_sales.quote.model import Quote


def due_to_expire(now: datetime) -> Select[UUID]:
    """Return active quotes after their last day in the organisation's time zone, oldest first."""
    # The condition is literal, so that the planner can use the partial index.
    active = Quote.status == literal_column("'active'")
    past = select(Quote.id).where(active, Quote.effective_to < day_at(now))
    return past.order_by(Quote.effective_to)
