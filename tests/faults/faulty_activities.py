"""The activities worker with two more handler groups, each with a fault: one raises, one ends the process.

A lead's topic says whom it provokes. Run by the nursery in place of ``crm_activities.worker``.
"""

import os

from crm_activities import worker
from crm_activities.consumers import CONSUMERS
from crm_contracts.sales.lead import LeadCreated
from crm_kit.events import deferred, dispatch
from crm_kit.work.uow import UnitOfWork

RAISES, KILLS = "activities.raises", "activities.kills"


async def raise_always(event: LeadCreated, uow: UnitOfWork) -> None:
    """A handler with a bug that one record meets."""
    if event.record.topic.startswith(RAISES):
        raise LookupError("this handler fails for this record, always")


async def end_the_process(event: LeadCreated, uow: UnitOfWork) -> None:
    """A handler that takes the process along, as a bug in a native library or too large an allocation would."""
    if event.record.topic.startswith(KILLS):
        os._exit(139)


def run() -> None:
    """Work until SIGTERM, or until a handler ends it."""
    CONSUMERS.step(LeadCreated, group=RAISES)(raise_always)
    CONSUMERS.step(LeadCreated, group=KILLS)(end_the_process)
    # The true waits add up to more than a day; how often it is tried and what happens then stays as it is.
    waits = tuple(0.2 for _ in deferred.RETRY_SECONDS)
    for module in (deferred, dispatch):
        vars(module)["RETRY_SECONDS"] = waits
    worker.run()
