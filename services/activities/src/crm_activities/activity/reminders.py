"""The activities whose reminder is due."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from crm_activities.activity.model import ActivityType
from crm_kit.events.timers import DueQuery


def due_reminders(kind: type[ActivityType]) -> DueQuery:
    """Return activities that are not closed of a type whose reminder is due and was not given, the longest overdue first."""

    def due(now: datetime) -> Select[UUID]:
        pending = select(kind.id).where(kind.reminded_at.is_(None), kind.status.in_(kind.live), kind.remind_at <= now)
        return pending.order_by(kind.remind_at)

    return due
