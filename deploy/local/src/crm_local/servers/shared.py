"""One PostgreSQL and one RabbitMQ for a whole test run, however many processes it has."""

import fcntl
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from crm_local.processes import ProcessRef
from crm_local.servers import POSTGRES, RABBITMQ, Server, Servers, provide, remove_directory

_VARIABLE = "CRM_TEST_RUN"
_PREFIX = "liaison-run-"


def begin() -> None:
    """Open a test run in this process; processes that it starts join the run by its environment.

    Also clears away what killed runs left behind.
    """
    _sweep()
    run = Path(tempfile.mkdtemp(prefix=_PREFIX))
    owner = ProcessRef.of(os.getpid())
    (run / "owner.json").write_text(json.dumps({"pid": owner.pid, "started": owner.started}))
    os.environ[_VARIABLE] = str(run)


def servers() -> Servers:
    """The servers of the run that this process belongs to; the first process that asks for one starts it for all."""
    return Servers(_get)


def _get(name: str) -> Server:
    run = Path(os.environ[_VARIABLE])
    record = run / f"{name}.json"
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            provided = provide(name)
            making = run / f"{name}.making"
            making.write_text(provided.dump())
            making.rename(record)
        return Server.load(record.read_text())


def end() -> None:
    """Close the run that `begin` opened here, and stop its servers."""
    _clear(Path(os.environ.pop(_VARIABLE)))


def _clear(run: Path) -> None:
    for name in (POSTGRES, RABBITMQ):
        record = run / f"{name}.json"
        if record.exists():
            Server.load(record.read_text()).stop()
    remove_directory(run)


def _sweep() -> None:
    for run in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Runs that begin together find the same dead one; what one of them has removed is gone for the others.
        with suppress(FileNotFoundError):
            if run.stat().st_uid != os.getuid():
                continue
            owner = ProcessRef(**json.loads((run / "owner.json").read_text()))
            if not owner.alive():
                _clear(run)
