"""A process that imports the current code of the services from disk and forks their processes.

`up` itself keeps the code of its start. At each `crm restart` it starts a nursery, whose forks share its memory
as those of `up` do. The parent of a fork ends at once, so that the fork becomes a child of the supervisor, which reaps and
restarts it like its own. The nursery ends when the supervisor closes its connection; if it dies earlier, another one starts.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crm_local import entrypoints
from crm_local.processes import ProcessRef
from crm_local.suite import Role, Service
from crm_local.supervisor import Fork

_LONGEST = 65536
_ANSWER_SECONDS = 60.0
"""The first order for a process prepares it before the answer, which takes seconds on a busy machine."""
_PR_SET_CHILD_SUBREAPER = 36

_OURS: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()


def _leave_to_the_supervisor() -> None:
    # A nursery ends when its socket is closed, and a fork that inherited it would keep it open.
    for ours in list(_OURS):
        ours.close()


os.register_at_fork(after_in_child=_leave_to_the_supervisor)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants (Linux). Raises OSError where this is not supported."""
    if not sys.platform.startswith("linux"):
        raise OSError("a restart one by one needs Linux: use down and up")
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Nursery:
    """The supervisor's side: starts a nursery, waits until it is ready, and makes it fork. The nursery ends with this object."""

    def __init__(self, services: Sequence[Service], listeners: Sequence[int], log: Path) -> None:
        adopt_orphans()
        self._services, self._listeners, self._log = services, listeners, log
        self._begin()

    def _begin(self) -> None:
        self._is_ready = False
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _OURS.add(self._ours)
        self._ours.setblocking(False)
        with theirs:
            become = partial(_become, theirs.fileno(), self._listeners)
            self.process = Fork("nursery", become, self._log).start()
            self._ours.send(json.dumps([(one.name, one.package) for one in self._services]).encode())

    def is_ready(self) -> bool:
        """Whether it has imported everything. Raises OSError if it has ended."""
        if not self._is_ready:
            try:
                said = self._ours.recv(_LONGEST)
            except BlockingIOError:
                return False
            if not said:
                raise OSError("the services cannot be imported")
            self._ours.settimeout(_ANSWER_SECONDS)
            self._is_ready = True
        return True

    def fork(self, name: str, service: Service, role: Role, log: Path, env: Mapping[str, str], fd: int) -> ProcessRef:
        """Fork a process of a service, which reports its readiness on `fd` (-1: not at all).

        Raises OSError. If the nursery itself failed, another one starts and serves a later call.
        """
        order = [name, service.name, service.package, role, str(log), dict(env)]
        try:
            if not self.is_ready():
                raise BlockingIOError("the services are still being imported")
            said = self._ask(order, [fd] if fd >= 0 else [])
        except BlockingIOError:
            raise
        except OSError as error:
            said = self._retire()
            with suppress(OSError):  # the next call detects that it has ended
                self._begin()
            if not said:
                raise OSError(f"the nursery failed ({error}); another one begins") from error
        if not said.isdigit():
            raise OSError("no process could be forked")
        return ProcessRef.of_child(int(said))

    def _ask(self, order: list[Any], descriptors: list[int]) -> bytes:
        socket.send_fds(self._ours, [json.dumps(order).encode()], descriptors)
        said = self._ours.recv(_LONGEST)
        if not said:
            raise ConnectionResetError("it ended")
        return said

    def _retire(self) -> bytes:
        """Close the connection, so that no later request gets this answer. Returns an answer that has just arrived."""
        with self._ours as ours, suppress(OSError):
            # Now the nursery detects the closed connection, and ends its latest fork.
            ours.shutdown(socket.SHUT_RD)
            ours.setblocking(False)
            return ours.recv(_LONGEST) if self._is_ready else b""
        return b""


@dataclass(frozen=True)
class Born:
    """A program whose processes are forked by a nursery."""

    nursery: Nursery
    name: str
    service: Service
    role: Role
    log: Path
    env: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self, ready_fd: int = -1) -> ProcessRef:
        """A process of it. Raises OSError."""
        return self.nursery.fork(self.name, self.service, self.role, self.log, self.env, ready_fd)


def _become(control: int, listeners: Sequence[int]) -> None:
    for descriptor in (control, *listeners):
        os.set_inheritable(descriptor, True)
    argv = [sys.executable, "-m", "crm_local.nursery", *map(str, (control, *listeners))]
    os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted


def main(control: socket.socket, listeners: Sequence[int]) -> None:
    """Fork on request until the supervisor closes its end."""
    entrypoints.preload([Service(*pair) for pair in json.loads(control.recv(_LONGEST))])
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    prepared: dict[str, Callable[[], None]] = {}
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 1)
        if not said:
            return
        name, service, package, role, log, env = json.loads(said)
        if name not in prepared:
            prepared[name] = entrypoints.prepare(Service(service, package), role, env)
            gc.freeze()
        order = _Order(name, prepared[name], Path(log), env)
        born = _orphan(order, descriptors, [control.fileno(), *listeners])
        try:
            control.send(born or b"none")
        except OSError:
            _end(born)
            return
        for descriptor in descriptors:
            os.close(descriptor)


@dataclass(frozen=True)
class _Order:
    name: str
    serve: Callable[[], None]
    log: Path
    env: dict[str, str]


def _orphan(order: _Order, descriptors: Sequence[int], not_its_own: Sequence[int]) -> bytes:
    """The pid of a process whose parent is gone; empty when there is none."""
    reading, writing = os.pipe()
    between = os.fork()
    if not between:
        try:
            os.close(reading)
            born = str(_fork(order, descriptors, [*not_its_own, writing]).start().pid).encode()
            try:
                os.write(writing, born)
            except OSError:
                _end(born)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(between, 0)
    try:
        return os.read(reading, 32)
    finally:
        os.close(reading)


def _end(born: bytes) -> None:
    """End a fork that the supervisor does not know, because nobody would supervise it."""
    if born:
        with suppress(ProcessLookupError):
            os.kill(int(born), signal.SIGKILL)


def _fork(order: _Order, descriptors: Sequence[int], not_its_own: Sequence[int]) -> Fork:
    env = order.env | ({"CRM_READY_FD": str(descriptors[0])} if descriptors else {})

    def run() -> None:
        for other in not_its_own:
            if str(other) != env["CRM_LISTEN_FD"]:
                os.close(other)
        order.serve()

    return Fork(order.name, run, order.log, env)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), [int(number) for number in sys.argv[2:]])
