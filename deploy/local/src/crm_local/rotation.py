"""Limits the size of logs, also of programs that keep their log open.

A log that is too large is copied to `.log.1` and truncated. Its writers append, so they continue at the new end. Lines that are
written between copy and truncation are lost, a few at most; in return no program has to support rotation.
"""

import os
import shutil
from pathlib import Path


def most_bytes() -> int:
    """CRM_LOG_BYTES, 20 MiB unless set: the size at which a log is rotated. Raises ValueError if it is not a number."""
    return int(os.environ.get("CRM_LOG_BYTES") or 20 * 1024 * 1024)


def kept(log: Path) -> Path:
    """The path of the rotated part."""
    return log.with_suffix(".log.1")


def begin_anew(log: Path) -> Path:
    """Start new logs for a run, and keep the previous ones."""
    if log.exists():
        log.rename(kept(log))
    return log


def bound(log: Path, most: int) -> None:
    """Rotate the log if it has more bytes than `most`. If the disk is too full for a copy, the older part is dropped."""
    try:
        if log.stat().st_size <= most:
            return
    except FileNotFoundError:
        return
    try:
        shutil.copyfile(log, kept(log))
    except OSError:
        kept(log).unlink(missing_ok=True)
    os.truncate(log, 0)
