"""The sales worker: relay, consumers, imports, moves after merges, timers and housekeeping."""

import sys
from uuid import UUID

from crm_kit.events.timers import Timers
from crm_kit.importing.runner import ImportLoop
from crm_kit.work.uow import UnitOfWork
from crm_kit.worker.running import Work, run_worker
from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.handover import HANDOVER
from crm_sales.importers import IMPORTERS
from crm_sales.invoice.commands import fall_overdue
from crm_sales.invoice.overdue import due_and_unpaid
from crm_sales.merging.moving import MOVER
from crm_sales.quote.commands import expire_quote
from crm_sales.quote.expiry import due_to_expire
from crm_sales.sales_contract.commands import end_by_time, past_their_end

TIMERS = Timers()
TIMERS.due("moves after merges", MOVER.due)(MOVER.go_on)
TIMERS.due("handovers", HANDOVER.due)(HANDOVER.go_on)
TIMERS.due("sales contracts end", past_their_end)(end_by_time)


@TIMERS.due("quotes expire", due_to_expire)
async def _expire(quote_id: UUID, uow: UnitOfWork) -> None:
    await expire_quote(uow, quote_id)


@TIMERS.due("invoices fall overdue", due_and_unpaid)
async def _overdue(invoice_id: UUID, uow: UnitOfWork) -> None:
    await fall_overdue(uow, invoice_id)


WORK = Work(SERVICE, CONSUMERS, TIMERS, loops={"imports": lambda runtime: ImportLoop(runtime, IMPORTERS)})


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
