"""Dates in the organisation's time zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from crm_kit.work.uow import UnitOfWork


def today(uow: UnitOfWork) -> date:
    """Return the date on which the unit of work began, in the organisation's time zone."""
    return day_of(uow, uow.now)


def day_of(uow: UnitOfWork, at: datetime) -> date:
    """Return the date at an instant, in the organisation's time zone."""
    return at.astimezone(zone(uow)).date()


def zone(uow: UnitOfWork) -> ZoneInfo:
    """Return the organisation's time zone."""
    return ZoneInfo(uow.runtime.directory.organization.time_zone)
