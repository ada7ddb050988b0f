"""Forks the suite's processes from one that has imported them all, as `crm up` does, so that restarts need no imports.

Standard input has a JSON line for each requested process (``module``, ``environment``, ``log``). Standard output gets
one for each process that started (``born``: pid) and each that died (``died``: pid, ``code``: exit code, or the
negative signal). When the input ends, also because the tests were killed, it kills the remaining processes, including
those that it was told to guard (``guard``: a ProcessRef).
"""

import importlib
import json
import os
import select
import signal
import sys
from typing import Any

from crm_kit import failpoints
from crm_local.entrypoints import preload
from crm_local.processes import ProcessRef, stop
from crm_local.suite import SERVICES

LOOK_SECONDS = 0.02


def main() -> None:
    """Serve until the input ends."""
    preload(SERVICES)
    children: set[int] = set()
    guarded: list[ProcessRef] = []
    buffered = b""
    while True:
        if select.select([0], [], [], LOOK_SECONDS)[0]:
            read = os.read(0, 65536)
            if not read:
                break
            *orders, buffered = (buffered + read).split(b"\n")
            for order in map(json.loads, orders):
                if "guard" in order:
                    guarded.append(ProcessRef(**order["guard"]))
                    continue
                pid = fork(order)
                children.add(pid)
                tell({"born": pid})
        for pid in tuple(children):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                children.remove(pid)
                tell({"died": pid, "code": os.waitstatus_to_exitcode(status)})
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    stop([server for server in guarded if server.alive()], signal.SIGQUIT)


def fork(order: dict[str, Any]) -> int:
    """Fork a child that runs the module's ``run`` until it ends."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environment"])
    # The failpoint is read when the module is imported, which was before the fork.
    importlib.reload(failpoints)
    importlib.import_module(order["module"]).run()
    sys.exit(0)


def tell(news: dict[str, Any]) -> None:
    """Write one line to the parent."""
    os.write(1, json.dumps(news).encode() + b"\n")


if __name__ == "__main__":
    main()
