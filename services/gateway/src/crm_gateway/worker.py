"""The gateway's worker: it follows identity, so that the API processes refuse a revoked token within two seconds."""

import sys

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_gateway.app import SERVICE
from crm_gateway.consumers import CONSUMERS
from crm_gateway.session.keeping import forget_ended
from crm_gateway.settings import GatewaySettings
from crm_kit import clock
from crm_kit.events.timers import Timers
from crm_kit.worker.running import Work, run_worker

TIMERS = Timers()


@TIMERS.every("forget ended sessions", seconds=3600)
async def forget_ended_sessions(conn: AsyncConnection) -> int:
    """Delete sessions of browsers that have ended."""
    return await forget_ended(conn, clock.now())


WORK = Work(SERVICE, CONSUMERS, TIMERS, settings=GatewaySettings)


def run() -> None:
    """Run until SIGTERM. Exit with 1 if a loop died."""
    sys.exit(run_worker(WORK))
