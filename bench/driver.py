"""The load: `wrk` and a small Lua script, because a Python client would take processor time from the server."""

import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from secrets import randbelow
from urllib.parse import urlsplit

SCRIPT = Path(__file__).with_name("wrk.lua")
MAX_SECONDS = 120
MAX_CONNECTIONS = 128
# Far apart and random, so that no two runs, or two benches against one database, use the same number.
SERIALS = itertools.count(randbelow(10**8) * 10**7, 10**7)


class LoadFailed(Exception):
    """The load could not run, or the server did not answer every request with 2xx."""


@dataclass(frozen=True)
class Load:
    """Requests of one kind. Lists are cycled. With `once` no path is used twice, and the run ends with the last.

    With a `rate` (requests/s) they are sent on a schedule instead of as fast as answers arrive. `bodies` are
    single-line JSON; every `@N@` in one becomes a unique number.
    """

    method: str
    paths: Sequence[str]
    bodies: Sequence[str] = ()
    tokens: Sequence[str] = ()
    once: bool = False
    rate: float = 0
    connections: int = 16
    seconds: int = 5


@dataclass(frozen=True)
class Measured:
    """The result of a run. Latencies are in milliseconds, corrected by wrk for coordinated omission."""

    requests: int
    rate: float
    p50: float
    p95: float
    p99: float
    failures: int
    issued: int  # Paths consumed, including those without an answer at the end.
    exhausted: bool  # A `once` load had too few paths for its duration.


@contextmanager
def line_files(load: Load) -> Iterator[list[str]]:
    """Write the load's lists to files for the script; "-" for an empty one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        names = []
        for name, lines in (("paths", load.paths), ("bodies", load.bodies), ("tokens", load.tokens)):
            file = Path(folder, name)
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            names.append(str(file) if lines else "-")
        yield names


def probe(url: str, load: Load) -> None:
    """Send the first request alone: its answer shows errors, and redirects, which wrk counts as success."""
    headers = {"Content-Type": "application/json"} if load.bodies else {}
    if load.tokens:
        headers["Authorization"] = f"Bearer {load.tokens[0]}"
    body = load.bodies[0].replace("@N@", str(next(SERIALS))).encode() if load.bodies else None
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(load.method, load.paths[0], body, headers)
        response = connection.getresponse()
        if not 200 <= response.status < 300:
            said = response.read(500).decode(errors="replace")
            raise LoadFailed(f"{load.method} {load.paths[0]} answered {response.status}: {said}")
    except (OSError, HTTPException) as error:
        raise LoadFailed(f"{load.method} {load.paths[0]} got no answer: {error}") from error
    finally:
        connection.close()


async def run(url: str, load: Load) -> Measured:
    """Run one load against `url` (http, host, port).

    Raises `LoadFailed` if wrk is missing or reports nothing, or if the first request is not answered with 2xx.
    """
    if shutil.which("wrk") is None:
        raise LoadFailed("the load generator `wrk` is not installed (Debian: apt-get install wrk)")
    if len(load.paths) < (2 if load.once else 1):
        raise LoadFailed("the load has no paths left")
    if not 1 <= load.seconds <= MAX_SECONDS or not 1 <= load.connections <= MAX_CONNECTIONS:
        raise LoadFailed(f"a load lasts 1–{MAX_SECONDS} seconds on 1–{MAX_CONNECTIONS} connections")
    await asyncio.to_thread(probe, url, load)
    if load.once:
        load = replace(load, paths=load.paths[1:])
    with line_files(load) as files:
        process = await asyncio.create_subprocess_exec(
            *("wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s", "-s", str(SCRIPT), url),
            *("--", load.method, *files, "once" if load.once else "cycle", str(next(SERIALS)), str(load.rate)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    last = err.decode().strip().rpartition("\n")[2]
    if process.returncode != 0 or not last.startswith("{"):
        raise LoadFailed(f"wrk failed: {err.decode()}{out.decode()}")
    told = json.loads(last)
    return Measured(
        requests=told["requests"],
        rate=told["requests"] / told["seconds"],
        p50=told["p50"],
        p95=told["p95"],
        p99=told["p99"],
        failures=told["refused"] + told["broken"],
        issued=told["issued"] + load.once,
        exhausted=told["exhausted"],
    )


class Consumable:
    """A `once` load over several runs. Each continues where the previous one stopped, so no path is repeated."""

    def __init__(self, load: Load) -> None:
        self.load = replace(load, once=True)
        self.used = 0

    async def run(self, url: str) -> Measured:
        """Run once. Raises `LoadFailed` if no path is left."""
        measured = await run(url, replace(self.load, paths=self.load.paths[self.used :]))
        self.used += measured.issued
        return measured
