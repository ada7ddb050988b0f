"""Dates as the organisation counts them."""

from datetime import date
from zoneinfo import ZoneInfo

from crm_kit.work.uow import UnitOfWork


def today(uow: UnitOfWork) -> date:
    """The date in the organisation's time zone when the unit of work began."""
    return uow.now.astimezone(ZoneInfo(uow.runtime.directory.organization.time_zone)).date()
