"""The activities worker with two more handler groups, each with a fault: one raises, one ends the process.

The topic of a lead selects the fault. Tests run this in place of ``crm_activities.worker``.
"""

import os

from crm_activities import worker
from crm_activities.consumers import CONSUMERS
from crm_contracts.sales.lead import LeadCreated
from crm_kit.events import deferred, failures
from crm_kit.work.uow import UnitOfWork

RAISES, KILLS = "activities.raises", "activities.kills"


async def raise_always(event: LeadCreated, uow: UnitOfWork) -> None:
    """A handler with a bug that one record triggers."""
    if event.record.topic.startswith(RAISES):
        raise LookupError("this handler fails for this record, always")


async def end_the_process(event: LeadCreated, uow: UnitOfWork) -> None:
    """A handler that ends the process, like a bug in a native library or an allocation that is too large."""
    if event.record.topic.startswith(KILLS):
        os._exit(139)


def run() -> None:
    """Run until SIGTERM, or until a handler ends the process."""
    CONSUMERS.step(LeadCreated, group=RAISES)(raise_always)
    CONSUMERS.step(LeadCreated, group=KILLS)(end_the_process)
    # The real pauses add up to more than a day. The number of attempts and their outcome stay as they are.
    waits = tuple(0.2 for _ in deferred.RETRY_SECONDS)
    for module in (deferred, failures):
        vars(module)["RETRY_SECONDS"] = waits
    worker.run()
