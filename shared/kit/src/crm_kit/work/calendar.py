"""Dates in the organisation's time zone."""

from datetime import date
from zoneinfo import ZoneInfo

from crm_kit.work.uow import UnitOfWork


def today(uow: UnitOfWork) -> date:
    """Return the date on which the unit of work began, in the organisation's time zone."""
    return uow.now.astimezone(ZoneInfo(uow.runtime.directory.organization.time_zone)).date()
