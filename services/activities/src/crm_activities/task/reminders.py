"""Which tasks are due to remind their owner."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from crm_activities.task.model import Task


def due_reminders(now: datetime) -> Select[UUID]:
    """Open tasks whose moment has come and whose owner has not been told, the longest overdue first."""
    pending = select(Task.id).where(Task.reminded_at.is_(None), Task.status == "open", Task.remind_at <= now)
    return pending.order_by(Task.remind_at)
