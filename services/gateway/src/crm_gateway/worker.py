"""The gateway's worker: it follows identity, so that the API processes refuse a revoked token within two seconds."""

import sys

from crm_gateway.app import SERVICE
from crm_gateway.consumers import CONSUMERS
from crm_gateway.settings import GatewaySettings
from crm_kit.worker.running import Work, run_worker

WORK = Work(SERVICE, CONSUMERS, settings=GatewaySettings)


def run() -> None:
    """Run until SIGTERM. Exit with 1 if a loop died."""
    sys.exit(run_worker(WORK))
