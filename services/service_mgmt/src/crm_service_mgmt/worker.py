"""The service management worker: relay, consumers, moves after merges, housekeeping."""

import sys

from crm_kit.events.timers import Timers
from crm_kit.worker.running import Work, run_worker
from crm_service_mgmt.app import SERVICE
from crm_service_mgmt.consumers import CONSUMERS
from crm_service_mgmt.handover import HANDOVER
from crm_service_mgmt.merging import MOVER

TIMERS = Timers()
TIMERS.due("moves after merges", MOVER.due)(MOVER.go_on)
TIMERS.due("handovers", HANDOVER.due)(HANDOVER.go_on)


WORK = Work(SERVICE, CONSUMERS, TIMERS)


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
