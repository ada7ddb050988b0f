"""The identity worker: relay, its own directory, and housekeeping."""

import sys

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.app import SERVICE
from crm_identity.auth.sessions import forget_sessions
from crm_identity.auth.throttle import forget_idle
from crm_identity.consumers import CONSUMERS
from crm_kit import clock
from crm_kit.timers import Timers
from crm_kit.worker import run_worker

TIMERS = Timers()


@TIMERS.every("forget ended sessions", seconds=3600)
async def forget_ended_sessions(conn: AsyncConnection) -> None:
    """Refresh tokens past their end."""
    await forget_sessions(conn, clock.now())


@TIMERS.every("forget idle buckets", seconds=60)
async def forget_idle_buckets(conn: AsyncConnection) -> None:
    """Attempts that no longer limit anybody."""
    await forget_idle(conn, clock.now())


def run() -> None:
    """Work until SIGTERM; exits with 1 when a loop died."""
    sys.exit(run_worker(SERVICE, CONSUMERS, TIMERS))
