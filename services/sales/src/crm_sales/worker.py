"""The sales worker: relay, consumers, imports, what moves after merges, housekeeping."""

import sys

from crm_kit.importing.runner import ImportLoop
from crm_kit.timers import Timers
from crm_kit.worker import run_worker
from crm_sales.account.commands import IMPORTER as ACCOUNTS
from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.contact.commands import IMPORTER as CONTACTS
from crm_sales.lead.commands import IMPORTER as LEADS
from crm_sales.merging.referrers import MOVER
from crm_sales.opportunity.migrate import IMPORTER as OPPORTUNITIES

IMPORTERS = (LEADS, CONTACTS, ACCOUNTS, OPPORTUNITIES)

TIMERS = Timers()
TIMERS.due("moves after merges", MOVER.due)(MOVER.go_on)


def run() -> None:
    """Work until SIGTERM."""
    sys.exit(run_worker(SERVICE, CONSUMERS, TIMERS, loops={"imports": lambda runtime: ImportLoop(runtime, IMPORTERS)}))
