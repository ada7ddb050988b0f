"""The identity worker: relay, its own directory, and housekeeping."""

import sys

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.app import SERVICE
from crm_identity.auth.keys import forget_retired_keys
from crm_identity.auth.lockout import forget_known, forget_old_failures
from crm_identity.auth.sessions import forget_sessions
from crm_identity.auth.throttle import forget_idle
from crm_identity.consumers import CONSUMERS
from crm_identity.settings import own_settings
from crm_identity.subscriber.counting import Counting
from crm_kit import clock
from crm_kit.events.timers import Timers
from crm_kit.worker.running import Work, run_worker

TIMERS = Timers()


@TIMERS.every("forget ended sessions", seconds=3600)
async def forget_ended_sessions(conn: AsyncConnection) -> int:
    """Delete expired refresh tokens."""
    return await forget_sessions(conn, clock.now())


@TIMERS.every("forget failed log-ins", seconds=600)
async def forget_failed_logins(conn: AsyncConnection) -> int:
    """Delete failures that no longer lock, and addresses without recent log-ins."""
    return await forget_old_failures(conn, own_settings(), clock.now()) or await forget_known(conn, clock.now())


@TIMERS.every("forget retired keys", seconds=3600)
async def forget_keys(conn: AsyncConnection) -> None:
    """Delete signing keys that no valid token was signed with."""
    await forget_retired_keys(conn, clock.now())


@TIMERS.every("forget idle buckets", seconds=60)
async def forget_idle_buckets(conn: AsyncConnection) -> int:
    """Delete buckets that no longer limit anybody."""
    return await forget_idle(conn, clock.now())


WORK = Work(SERVICE, CONSUMERS, TIMERS, loops={"subscribers": Counting}, check=own_settings)


def run() -> None:
    """Run until SIGTERM. Exit with 1 if a loop died."""
    sys.exit(run_worker(WORK))
