"""The insights worker: consumers and housekeeping."""

import sys

from crm_insights.app import SERVICE
from crm_insights.consumers import CONSUMERS
from crm_kit.worker.running import Work, run_worker

WORK = Work(SERVICE, CONSUMERS)


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
