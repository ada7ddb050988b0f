"""Which activities are due to remind their owner."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from crm_activities.activity.model import ActivityType
from crm_kit.events.timers import DueQuery


def due_reminders(kind: type[ActivityType]) -> DueQuery:
    """Open activities of a type whose moment has come and whose owner has not been told, the longest overdue first."""

    def due(now: datetime) -> Select[UUID]:
        pending = select(kind.id).where(kind.reminded_at.is_(None), kind.status == "open", kind.remind_at <= now)
        return pending.order_by(kind.remind_at)

    return due
