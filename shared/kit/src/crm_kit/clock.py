"""The only place that reads the time. ``CRM_CLOCK_OFFSET`` (seconds) shifts a whole process, for tests."""

import os
import time
from datetime import UTC, datetime, timedelta

_OFFSET = timedelta(seconds=float(os.environ.get("CRM_CLOCK_OFFSET", "0")))


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC) + _OFFSET  # noqa: TID251  # the one place


def monotonic() -> float:
    """Seconds on a clock that never goes back: for durations and deadlines only."""
    return time.monotonic()  # noqa: TID251  # the one place
