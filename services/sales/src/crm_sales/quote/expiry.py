"""Which quotes time has closed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Date, Select, cast, func, literal, literal_column, select

from crm_kit.db import Timestamp
from crm_sales.db import Base
from crm_sales.quote.model import Quote


def due_to_expire(now: datetime) -> Select[UUID]:
    """Active quotes of which the last day has passed where the organisation is, the longest past first."""
    organization = Base.metadata.tables["organization_ref"]
    zone = select(organization.c.time_zone).where(organization.c.deleted.is_(False)).limit(1).scalar_subquery()
    today = cast(func.timezone(func.coalesce(zone, "UTC"), literal(now, Timestamp())), Date)
    # Written out, for the index of the few: a plan for any status could not use it.
    active = Quote.status == literal_column("'active'")
    past = select(Quote.id).where(active, Quote.effective_to < today)
    return past.order_by(Quote.effective_to)
