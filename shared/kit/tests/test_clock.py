"""The one clock of a process, and its shift."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from crm_kit import clock


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_offset_shifts_the_whole_process() -> None:
    program = "from crm_kit import clock; print(clock.now().isoformat())"
    shifted = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CRM_CLOCK_OFFSET": "-86400"},
        capture_output=True,
        text=True,
        check=True,
    )
    behind = clock.now() - datetime.fromisoformat(shifted.stdout.strip())
    assert timedelta(hours=24) <= behind < timedelta(hours=24, minutes=5)
