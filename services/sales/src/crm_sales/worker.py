"""The sales worker: relay, consumers, imports, housekeeping."""

import sys

from crm_kit.importing.runner import ImportLoop
from crm_kit.worker import run_worker
from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.lead.commands import IMPORTER as LEADS

IMPORTERS = (LEADS,)


def run() -> None:
    """Work until SIGTERM."""
    sys.exit(run_worker(SERVICE, CONSUMERS, loops={"imports": lambda runtime: ImportLoop(runtime, IMPORTERS)}))
