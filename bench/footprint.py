"""The resources of a suite and its servers: memory by groups of processes, and processor time while idle."""

import asyncio
import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.report import Sample
from bench.suite import Suite

IDLE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""Seconds after the start until the suite is idle: by then loops make their longest pauses, and unused connections are closed."""
REST_SECONDS = 90.0
"""Seconds after use until everything that a quiet process gives back has been given back."""
_TICKS = os.sysconf("SC_CLK_TCK")


def groups(suite: Suite) -> Mapping[str, set[int]]:
    """Return process ids: ours, and those of each server that `up` runs, with their children."""
    members = json.loads((suite.home / "state.json").read_text())["members"]
    children = _children()
    servers = {one["name"]: one["process"]["pid"] for one in members.values() if not one["url"]}
    of_servers = {name: _below(pid, children) for name, pid in servers.items()}
    ours = _below(int(suite.status["supervisor_pid"]), children)
    return {"ours": ours.difference(*of_servers.values()), **of_servers}


def by_process(suite: Suite) -> Mapping[str, set[int]]:
    """Return process ids by the name of our process, `supervisor`, or the server. A server includes its children."""
    found = {one["name"]: {int(one["pid"])} for one in suite.status["services"]}
    found["supervisor"] = {int(suite.status["supervisor_pid"])}
    return found | {name: pids for name, pids in groups(suite).items() if name != "ours"}


def memory(suite: Suite, *, servers: bool) -> Sample:
    """Return the MiB of ours, or with the servers. Shared pages are divided among the processes that share them."""
    held = {name: sum(map(proportional, pids)) / 1024 for name, pids in groups(suite).items()}
    return Sample(sum(held.values()) if servers else held["ours"], 0, held)


async def processor(suite: Suite) -> Sample:
    """Return the percentage of one core that all processes use while the suite is idle."""
    await asyncio.sleep(SETTLED_SECONDS)
    before, began = _seconds(suite), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    took = time.monotonic() - began
    shares = {name: 100 * (used - before.get(name, 0)) / took for name, used in _seconds(suite).items()}
    return Sample(sum(shares.values()), 0, shares)


def proportional(pid: int) -> int:
    """Return the KiB of a process's memory, with shared pages divided among their users; 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def used(pids: Collection[int]) -> float:
    """Return the processor time of processes in seconds. For several it includes their ended children."""
    return sum(_used(pid, with_ended=len(pids) > 1) for pid in pids)


def _seconds(suite: Suite) -> dict[str, float]:
    # Processes that have ended count, too: PostgreSQL starts and ends some by itself.
    return {name: used(pids) for name, pids in groups(suite).items()}


def _used(pid: int, *, with_ended: bool = False) -> float:
    # utime, stime, cutime, cstime of proc_pid_stat(5)
    fields = _stat(pid)[11 : 15 if with_ended else 13]
    return sum(map(int, fields)) / _TICKS


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def _below(pid: int, children: Mapping[int, list[int]]) -> set[int]:
    return {pid}.union(*(_below(child, children) for child in children.get(pid, ())))
