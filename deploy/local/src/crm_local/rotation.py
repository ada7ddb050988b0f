"""Logs that do not grow without bound, also those of programs that hold their log open for life.

A log past its size is copied to `.log.1` and cut: its writers append, so they go on at the new end. What they write
between the copy and the cut is lost, a few lines at most; in return no program has to know.
"""

import os
import shutil
from pathlib import Path


def most_bytes() -> int:
    """CRM_LOG_BYTES, 20 MiB unless set: the size past which a log is begun anew. Raises ValueError when it is no number."""
    return int(os.environ.get("CRM_LOG_BYTES") or 20 * 1024 * 1024)


def kept(log: Path) -> Path:
    """Where the part before the present one is."""
    return log.with_suffix(".log.1")


def begin_anew(log: Path) -> Path:
    """Each run begins its logs anew, and keeps the one before."""
    if log.exists():
        log.rename(kept(log))
    return log


def bound(log: Path, most: int) -> None:
    """Cut the log when it has more bytes than `most`. Where the disk is too full for a copy, the older part is given up."""
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
