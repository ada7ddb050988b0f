"""The activities worker: relay, consumers, imports, reminders, moves after merges, incoming mail, housekeeping."""

import sys
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.activity.commands import remind_owner
from crm_activities.activity.model import ActivityType
from crm_activities.activity.reminders import due_reminders
from crm_activities.activity.types import REMINDERS
from crm_activities.app import SERVICE
from crm_activities.attachment.erasing import due_erasures, go_on_erasing
from crm_activities.consumers import CONSUMERS
from crm_activities.files.stored import due_files, sweep
from crm_activities.handover import HANDOVER
from crm_activities.importers import IMPORTERS
from crm_activities.inbound_mail.inlet import Inlet
from crm_activities.inbound_mail.keeping import forget_sources
from crm_activities.inbound_mail.polling import Polling
from crm_activities.inbound_mail.reading import pending_mails, read_inbound
from crm_activities.inbound_mail.settings import check_settings
from crm_activities.inbound_mail.settings import own_settings as inbound_settings
from crm_activities.mail.automatic import forget_old_answers
from crm_activities.mail.senders import check_senders
from crm_activities.mail.sending import MailLoop
from crm_activities.merging import MOVER
from crm_activities.recurring_appointment.occurrences import due_series, go_on
from crm_activities.rule.running import due_runs, forget_runs, run_rule
from crm_activities.settings import own_settings
from crm_contracts.catalogue import Event
from crm_kit import clock
from crm_kit.events.timers import Timers
from crm_kit.importing.runner import ImportLoop
from crm_kit.work.uow import UnitOfWork
from crm_kit.worker.running import Work, run_worker

TIMERS = Timers()


async def _remind(kind: type[ActivityType], event: type[Event], activity_id: UUID, uow: UnitOfWork) -> None:
    await remind_owner(uow, kind, activity_id, event)


for _kind, _event in REMINDERS.items():
    TIMERS.due(f"{_kind.entity()} reminders", due_reminders(_kind))(partial(_remind, _kind, _event))

TIMERS.due("series of appointments", due_series)(go_on)
TIMERS.due("moves after merges", MOVER.due)(MOVER.go_on)
TIMERS.due("files of deleted records", due_erasures)(go_on_erasing)
TIMERS.due("files to delete", due_files)(sweep)
TIMERS.due("handovers", HANDOVER.due)(HANDOVER.go_on)
TIMERS.due("incoming mails", pending_mails)(read_inbound)
TIMERS.due("activity rules", due_runs)(run_rule)


@TIMERS.every("forget runs of rules", seconds=3600)
async def _forget_runs(conn: AsyncConnection) -> int:
    return await forget_runs(conn, clock.now())


@TIMERS.every("forget sources of mails", seconds=3600)
async def _forget_sources(conn: AsyncConnection) -> int:
    return await forget_sources(conn, inbound_settings(), clock.now())


TIMERS.every("answered senders", seconds=3600)(forget_old_answers)


def _check_settings() -> None:
    own_settings()
    check_settings()
    check_senders()


WORK = Work(
    SERVICE,
    CONSUMERS,
    TIMERS,
    loops={
        "imports": lambda runtime: ImportLoop(runtime, IMPORTERS),
        "mail": MailLoop,
        "mailboxes": Polling,
        "smtp": Inlet,
    },
    check=_check_settings,
)


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
