"""The marketing worker: relay, consumers, housekeeping."""

import sys

from crm_kit.worker.worker import Work, run_worker
from crm_marketing.app import SERVICE
from crm_marketing.consumers import CONSUMERS

WORK = Work(SERVICE, CONSUMERS)


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
