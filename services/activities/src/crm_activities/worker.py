"""The activities worker: relay, consumers, reminders, housekeeping."""

import sys
from uuid import UUID

from crm_activities.app import SERVICE
from crm_activities.consumers import CONSUMERS
from crm_activities.task.commands import remind_owner
from crm_activities.task.reminders import due_reminders
from crm_kit.timers import Timers
from crm_kit.uow import UnitOfWork
from crm_kit.worker import run_worker

TIMERS = Timers()


@TIMERS.due("task reminders", due_reminders)
async def remind(task_id: UUID, uow: UnitOfWork) -> None:
    """Tell that the moment has come."""
    await remind_owner(uow, task_id)


def run() -> None:
    """Work until SIGTERM."""
    sys.exit(run_worker(SERVICE, CONSUMERS, TIMERS))
