"""The organisation's current date in SQL, for statements that select rows by date."""

from datetime import date, datetime

from sqlalchemy import ColumnElement, Date, cast, func, literal, select

from crm_kit.store.columns import Timestamp
from crm_sales.db import Base


def day_at(now: datetime) -> ColumnElement[date]:
    """SQL for the date at an instant in the organisation's time zone.

    UTC applies until this database knows the zone.
    """
    organization = Base.metadata.tables["organization_ref"]
    zone = select(organization.c.time_zone).where(organization.c.deleted.is_(False)).limit(1).scalar_subquery()
    return cast(func.timezone(func.coalesce(zone, "UTC"), literal(now, Timestamp())), Date)
