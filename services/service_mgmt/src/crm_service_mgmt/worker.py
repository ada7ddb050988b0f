"""The service management worker: relay, consumers, housekeeping."""

import sys

from crm_kit.worker import run_worker
from crm_service_mgmt.app import SERVICE
from crm_service_mgmt.consumers import CONSUMERS


def run() -> None:
    """Work until SIGTERM."""
    sys.exit(run_worker(SERVICE, CONSUMERS))
