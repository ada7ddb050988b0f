"""The marketing worker: relay, consumers, handovers, housekeeping."""

import sys

from crm_kit.events.timers import Timers
from crm_kit.worker.running import Work, run_worker
from crm_marketing.app import SERVICE
from crm_marketing.consumers import CONSUMERS
from crm_marketing.handover import HANDOVER

TIMERS = Timers()
TIMERS.due("handovers", HANDOVER.due)(HANDOVER.go_on)


WORK = Work(SERVICE, CONSUMERS, TIMERS)


def run() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(WORK))
