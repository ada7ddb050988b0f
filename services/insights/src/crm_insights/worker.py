"""The insights worker: consumers and housekeeping."""

import sys

from crm_insights.app import SERVICE
from crm_insights.consumers import CONSUMERS
from crm_kit.worker import run_worker


def run() -> None:
    """Work until SIGTERM."""
    sys.exit(run_worker(SERVICE, CONSUMERS))
