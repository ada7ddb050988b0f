"""Identifies processes reliably, so that only our own are stopped."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crm_kit.clock import monotonic
from crm_local.accounts import Account


@dataclass(frozen=True)
class ProcessRef:
    """A process by pid and start time, because another process may have the pid by now."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessRef":
        """Return the process that has this pid now. Raises ProcessLookupError if there is none."""
        started = start_time(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    @classmethod
    def of_child(cls, pid: int) -> "ProcessRef":
        """Return a child that was not reaped yet, running or dead."""
        started = start_time(pid, even_dead=True)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    def alive(self) -> bool:
        """Whether exactly this process still runs. A dead process that was not reaped does not."""
        return start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to exactly this process; does nothing if it has ended."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Command:
    """A program that runs in its own session, so that it can be stopped together with its children."""

    name: str
    argv: tuple[str, ...]
    log: Path
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self) -> ProcessRef:
        """Start it with output appended to `log`; `env` is added to this process's environment."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        # The caller reaps the process by waitpid or stops it by its reference. Popen's own bookkeeping would only warn.
        process.returncode = 0
        return ProcessRef.of_child(process.pid)

    def become(self) -> None:
        """Replace this process by the program, for a fork that already has its output and its session."""
        os.chdir(self.cwd)
        if self.account is not None:
            os.setgroups([])
            os.setgid(self.account.gid)
            os.setuid(self.account.uid)
        os.execve(self.argv[0], self.argv, {**os.environ, **self.env})  # noqa: S606 - no shell is wanted


def start_time(pid: int, *, even_dead: bool = False) -> str | None:
    """Return when the process with this pid started, as an opaque text that no later process repeats.

    None if there is no such process, or only a dead one that was not reaped, unless `even_dead` is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _start_time_by_ps(pid, even_dead)
    # The command name is in parentheses and can contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" and not even_dead else f"{_boot()}:{ticks}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]


def _start_time_by_ps(pid: int, even_dead: bool) -> str | None:
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() if started and (even_dead or not state.startswith("Z")) else None


def wait_until(condition: Callable[[], bool], timeout: float, interval: float = 0.05) -> bool:
    """Wait until the condition is true, for at most `timeout` seconds.

    It is tested every `interval` seconds. Return its result.
    """
    deadline = monotonic() + timeout
    while not condition():
        if monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def stop(processes: Iterable[ProcessRef], number: signal.Signals = signal.SIGTERM, grace: float = 15.0) -> None:
    """Ask processes to end, wait up to `grace` seconds for all of them, then kill the rest of their sessions."""
    leaders = list(processes)
    everybody = [*leaders, *(follower for leader in leaders for follower in followers(leader))]
    for leader in leaders:
        leader.signal(number)
    wait_until(lambda: not any(_lives(leader) for leader in leaders), grace)
    for process in everybody:
        process.signal(signal.SIGKILL)
    wait_until(lambda: not any(_lives(process) for process in everybody), 5.0)


def _lives(process: ProcessRef) -> bool:
    """Whether the process still runs. A dead child of this process is reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return process.alive()


def followers(leader: ProcessRef) -> list[ProcessRef]:
    """Return the living processes of the session that `leader` leads or led.

    The kernel keeps its number while one lives.
    """
    if start_time(leader.pid) not in (None, leader.started):
        return []
    found = []
    for pid in _all_pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != leader.pid and os.getsid(pid) == leader.pid:
                found.append(ProcessRef.of(pid))
    return found


def _all_pids() -> list[int]:
    proc = Path("/proc")
    if (proc / "self").exists():
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listing.stdout.split()]
