"""Which day it is where the organisation is, for statements that choose among rows by date."""

from datetime import date, datetime

from sqlalchemy import ColumnElement, Date, cast, func, literal, select

from crm_kit.store.columns import Timestamp
from crm_sales.db import Base


def day_at(now: datetime) -> ColumnElement[date]:
    """The date at an instant, in the organisation's time zone as this database knows it; in UTC until it does."""
    organization = Base.metadata.tables["organization_ref"]
    zone = select(organization.c.time_zone).where(organization.c.deleted.is_(False)).limit(1).scalar_subquery()
    return cast(func.timezone(func.coalesce(zone, "UTC"), literal(now, Timestamp())), Date)
