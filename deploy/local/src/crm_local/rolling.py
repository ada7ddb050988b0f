"""`crm restart`: requests to the supervisor through files in the home, and its progress.

`restart/<id>.json` names the processes, SIGUSR1 makes the supervisor look, and it writes `restart/<id>.log`, whose last
line says how it ended. Files are used because the supervisor must not have connections.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crm_kit import clock
from crm_local.control import NotReady
from crm_local.state import Home

DONE, FAILED = "done", "failed"
_LOOK_SECONDS = 0.1


def restart(home: Home, wanted: Sequence[str], say: Callable[[str], None]) -> bool:
    """Replace processes, or both of a service, one by one; all if none is named. Returns whether all were replaced.

    Raises NotReady if nothing runs, ValueError for an unknown name.
    """
    state = home.state()
    if state is None or not state.supervisor.alive():
        raise NotReady(f"no suite runs from {home.path}: ./crm up")
    if state.phase != "ready":
        raise NotReady(f"the suite is {state.phase}: ./crm status")
    processes = chosen([name for name, member in state.members.items() if member.url], wanted)
    folder = _folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    # The time is the order of requests. The process tells those of the same microsecond apart.
    request = folder / f"{clock.now():%Y%m%dT%H%M%S.%f}-{os.getpid()}.json"
    told = request.with_suffix(".log")
    making = request.with_suffix(".new")
    making.write_text(json.dumps(processes))
    making.rename(request)
    state.supervisor.signal(signal.SIGUSR1)
    try:
        shown = 0
        while True:
            # Checked before the file is read, so that the last line is not missed.
            ended = not state.supervisor.alive()
            lines = told.read_text().splitlines() if told.exists() else []
            for line in lines[shown:]:
                if line not in (DONE, FAILED):
                    say(line)
            shown = len(lines)
            if lines and lines[-1] in (DONE, FAILED):
                return lines[-1] == DONE
            if ended:
                raise NotReady(f"the suite ended meanwhile: {home.log('supervisor')}")
            time.sleep(_LOOK_SECONDS)
    finally:
        for file in (request, told):
            file.unlink(missing_ok=True)


def chosen(running: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The processes of these names and services, in the order in which they run. Raises ValueError for others."""
    services = {name: name.partition("-")[0] for name in running if not name.endswith(")")}
    if unknown := [name for name in wanted if name not in services and name not in services.values()]:
        # One process per service has the service's name.
        known = ", ".join(dict.fromkeys([*services.values(), *services]))
        raise ValueError(f"no process or service {', '.join(map(repr, unknown))}: there is {known}")
    return [name for name, service in services.items() if not wanted or name in wanted or service in wanted]


@dataclass
class Request:
    """The supervisor's side of one restart."""

    processes: list[str]
    _log: Path
    _lines: list[str] = field(default_factory=list)

    def tell(self, *lines: str) -> bool:
        """Add a line; returns whether everything was written, see `write`."""
        self._lines += lines
        return self.write()

    def write(self) -> bool:
        """Write the lines. Returns False on a full disk; try again."""
        with suppress(OSError):
            # Whoever reads it meanwhile must see all lines so far, or would print them a second time.
            making = self._log.with_suffix(".making")
            making.write_text("".join(f"{line}\n" for line in self._lines))
            making.replace(self._log)
            return True
        return False


def requests(home: Home) -> Iterable[Request]:
    """The requests, oldest first; each is deleted when it is reached."""
    for path in sorted(_folder(home).glob("*.json")):
        with suppress(FileNotFoundError):
            processes = json.loads(path.read_text())
            path.unlink()
            yield Request(processes, path.with_suffix(".log"))


def forget(home: Home) -> None:
    """Delete the requests to an earlier run."""
    for path in _folder(home).glob("*"):
        path.unlink(missing_ok=True)


def _folder(home: Home) -> Path:
    return home.path / "restart"
