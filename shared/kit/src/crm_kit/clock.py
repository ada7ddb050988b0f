"""The only module that reads the time. ``CRM_CLOCK_OFFSET`` (seconds) shifts the time of a process, for tests."""

import os
import time
from datetime import UTC, datetime, timedelta

_OFFSET = timedelta(seconds=float(os.environ.get("CRM_CLOCK_OFFSET", "0")))


def now() -> datetime:
    """Return the current instant, in UTC."""
    return datetime.now(UTC) + _OFFSET  # noqa: TID251  # the one place


def monotonic() -> float:
    """Return the seconds of a clock that never goes back. Use it only for durations and deadlines."""
    return time.monotonic()  # noqa: TID251  # the one place
