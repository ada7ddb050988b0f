"""Starts processes, restarts those that die, and stops them all, using only `fork`, `waitpid` and signals.

The supervisor never has threads, event loops or open connections, because it forks at any time.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from crm_kit.clock import monotonic
from crm_local.processes import Command, ProcessRef, followers, stop

_ASKED = signal.SIGUSR1
"""The signal that there is a request."""
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, _ASKED}
_LOOK_SECONDS = 0.05
_LOSER_SECONDS = 3.0
"""Seconds in which a process that did not become ready must end. It has no work that others wait for."""
_FIRST_PAUSE, _LONGEST_PAUSE, _HEALTHY_AFTER = 0.25, 3.0, 30.0


@dataclass(frozen=True)
class Fork:
    """A function that runs in a fork of this process, which has already imported everything."""

    name: str
    run: Callable[[], object]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM

    @classmethod
    def of(cls, command: Command) -> "Fork":
        """Make a fork that becomes a program.

        Popen would pass on our blocked signals, and the program would ignore SIGTERM.
        """
        return cls(command.name, command.become, command.log, stop_signal=command.stop_signal)

    def start(self) -> ProcessRef:
        """Fork. The child runs the function in its own session, with its output appended to `log`."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return ProcessRef.of_child(pid)
        status = 70
        try:
            self._become_child()
            self.run()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                # As the interpreter does at the normal end of a program.
                with suppress(OSError):
                    print(end.code, file=sys.stderr)
        except BaseException:  # noqa: BLE001 - the last frame of a process: whatever it is goes to the log and the exit code
            with suppress(OSError):
                traceback.print_exc()
        finally:
            # Not sys.exit: the child must not run the parent's exit handlers or close its files. This must be reached
            # even if flushing fails, otherwise the child would continue as a second supervisor.
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _become_child(self) -> None:
        os.setsid()
        for number in _WATCHED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.environ.update(self.env)


class Program(Protocol):
    """A program that can be started repeatedly."""

    @property
    def name(self) -> str:
        """The name under which it is supervised."""

    @property
    def log(self) -> Path:
        """The log file of its processes."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that asks its process to end."""

    def start(self) -> ProcessRef:
        """Start a new process. Raises OSError."""


class Successor(Program, Protocol):
    """A program whose process reports when it is ready, and takes over only then."""

    def start(self, ready_fd: int = -1) -> ProcessRef:
        """Start a new process.

        It writes `ready` to the pipe, and until then the reason why it is not. Raises OSError.
        """


@dataclass
class Child:
    """A supervised program with its latest process."""

    program: Program
    process: ProcessRef
    started_at: float
    deaths_in_a_row: int = 0
    restarts: int = 0
    due_at: float | None = None
    """When to start it again; None while it runs."""

    def pause(self) -> float:
        """Return the seconds until the next start after a death or a failed start. They grow with each one in a row."""
        lived = monotonic() - self.started_at
        self.deaths_in_a_row = 1 if lived > _HEALTHY_AFTER else self.deaths_in_a_row + 1
        pause: float = min(_FIRST_PAUSE * 2 ** (self.deaths_in_a_row - 1), _LONGEST_PAUSE)
        self.due_at = monotonic() + pause
        return pause


class NotReplaced(Exception):
    """The new process did not become ready, for the given reason. The existing process continues."""


class Stopped(Exception):
    """A signal told the supervisor to stop."""


class Supervisor:
    """Keeps programs running until it is told to stop.

    A dead program is started again after 0.25 s. The pause doubles up to 3 s for a program that dies within 30 s of its
    start: 20 deaths in a row take about a minute. `changed` is called after each change of the children, `tend` at
    least once a second.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        say: Callable[[str], None],
        tend: Callable[[], None] = lambda: None,
        asked: Callable[[], None] = lambda: None,
    ) -> None:
        self.children: dict[str, Child] = {}
        self.candidates: dict[str, ProcessRef] = {}
        """Started to replace a child, and not ready yet."""
        self.leaving: dict[str, tuple[ProcessRef, float]] = {}
        """Replaced and told to end, and when they are killed."""
        self._ended: dict[int, int] = {}
        self._changed = changed
        self._say = say
        self._tend = tend
        self._asked = asked
        self._was_asked = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Block the signals, so that `step` receives them. Forks and commands do not inherit this."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)

    def add(self, program: Fork) -> None:
        """Start a program and keep it running."""
        self.children[program.name] = Child(program, self._born(program.start()), monotonic())
        self._changed()

    def call(self, program: Fork) -> int:
        """Run a program to its end, and return its exit code. The others stay supervised."""
        process = self._born(program.start())
        while process.pid not in self._ended:
            try:
                self.step()
            except Stopped:
                stop([process])
                raise
        return self._ended.pop(process.pid)

    def run(self) -> None:
        """Keep all programs running until Stopped is raised."""
        while True:
            self.step()
            if self._was_asked:
                self._was_asked = False
                self._asked()

    def replace(self, program: Successor, ready_seconds: float, leave_seconds: float) -> float:
        """Start a process beside the child of the same name. It replaces the child when it reports that it is ready.

        The old process is asked to end, and killed after `leave_seconds`. Return the seconds until the new one was
        ready. Raises NotReplaced.
        """
        name, began = program.name, monotonic()
        reading, writing = os.pipe()
        try:
            try:
                process = self._born(program.start(writing))
            except OSError as error:
                raise NotReplaced(f"cannot be started: {error}") from error
            finally:
                os.close(writing)
            self.candidates[name] = process
            self._changed()
            try:
                self._await_word(reading, process, began + ready_seconds)
            except BaseException:
                stop([process], grace=_LOSER_SECONDS)
                raise
            finally:
                del self.candidates[name]
        finally:
            os.close(reading)
            self._changed()
        old = self.children[name]
        self.children[name] = Child(program, process, began, restarts=old.restarts)
        if old.due_at is None:
            old.process.signal(old.program.stop_signal)
            self.leaving[name] = old.process, monotonic() + leave_seconds
        if (code := self._ended.pop(process.pid, None)) is not None:
            self._bury(process.pid, code)
        self._changed()
        return monotonic() - began

    def _await_word(self, reading: int, process: ProcessRef, until: float) -> None:
        os.set_blocking(reading, False)
        said, reason = b"", "it reported nothing"
        while True:
            with suppress(BlockingIOError):
                said += os.read(reading, 65536)
            *lines, said = said.split(b"\n")
            reason = next((line.decode() for line in reversed(lines) if line), reason)
            if reason == "ready":
                return
            if process.pid in self._ended:
                raise NotReplaced(f"{_how(self._ended.pop(process.pid))}")
            if monotonic() > until:
                raise NotReplaced(f"did not become ready: {reason}")
            self.step(_LOOK_SECONDS)

    def await_leaving(self) -> None:
        """Wait until all replaced processes have ended."""
        while self.leaving:
            self.step(_LOOK_SECONDS)

    def step(self, longest: float = 1.0) -> None:
        """Wait at most `longest` seconds for a death, a due restart or a signal, and handle it. Raises Stopped."""
        now = monotonic()
        waits = [child.due_at - now for child in self.children.values() if child.due_at is not None]
        received = signal.sigtimedwait(_WATCHED, max(0.0, min([longest, *waits])))
        if received is not None and received.si_signo == _ASKED:
            self._was_asked = True
        elif received is not None and received.si_signo != signal.SIGCHLD:
            raise Stopped(signal.Signals(received.si_signo).name)
        self._reap()
        for process, until in self.leaving.values():
            if until <= monotonic():
                process.signal(signal.SIGKILL)
        for child in self.children.values():
            if child.due_at is not None and child.due_at <= monotonic():
                self._start_again(child)
        self._tend()

    def kill(self, name: str, why: str) -> None:
        """Kill a program with its children. It is started again like any program that died."""
        child = self.children[name]
        if child.due_at is None:
            self._say(f"{name} {why}; killing it")
            child.process.signal(signal.SIGKILL)

    def _start_again(self, child: Child) -> None:
        try:
            child.process = self._born(child.program.start())
        except OSError as error:
            # Lack of memory or processes can be temporary, and the other programs still need their supervisor.
            self._say(f"{child.program.name} cannot be started: {error}; trying again in {child.pause():g} s")
            return
        child.started_at, child.restarts, child.due_at = monotonic(), child.restarts + 1, None
        self._changed()

    def _born(self, process: ProcessRef) -> ProcessRef:
        """Register a new process. The exit code of an earlier process with its pid is dropped."""
        self._ended.pop(process.pid, None)
        return process

    def stop(self, names: list[str], grace: float = 15.0) -> None:
        """Stop the named programs together, each by its own signal. Kill them after `grace` seconds."""
        leaving = [self.children.pop(name) for name in names if name in self.children]
        for child in leaving:
            child.process.signal(child.program.stop_signal)
        # They have received their signal, so this only waits and kills.
        stop([*(child.process for child in leaving), *self._let_go(names)], signal.SIGCONT, grace)
        self._changed()

    def _let_go(self, names: list[str]) -> list[ProcessRef]:
        return [self.leaving.pop(name)[0] for name in names if name in self.leaving]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._bury(pid, os.waitstatus_to_exitcode(status))

    def _bury(self, pid: int, code: int) -> None:
        child = next((one for one in self.children.values() if one.process.pid == pid), None)
        if child is None:
            self._ended[pid] = code
            self._bury_replaced(pid)
            return
        # Its children would keep its port or its data directory from the next process.
        for follower in followers(child.process):
            follower.signal(signal.SIGKILL)
        lived, pause = monotonic() - child.started_at, child.pause()
        self._say(f"{child.program.name} {_how(code)} after {lived:.1f} s; starting it again in {pause:g} s")
        self._changed()

    def _bury_replaced(self, pid: int) -> None:
        for name, (process, _) in list(self.leaving.items()):
            if process.pid == pid:
                del self.leaving[name], self._ended[pid]
                for follower in followers(process):
                    follower.signal(signal.SIGKILL)
                self._changed()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
