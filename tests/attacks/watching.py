"""The measurements: the normal user's answers and latencies, and the memory of every process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.attacks.normal import Work
from tests.attacks.people import Cast
from tests.integration.suite import Suite

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Diary:
    """The normal user's answers."""

    seconds: list[float]
    answers: dict[int, int]

    def p95(self) -> float:
        """Seconds within which 95 % of the answers arrived."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]


@asynccontextmanager
async def at_work(cast: Cast) -> AsyncIterator[asyncio.Future[Diary]]:
    """Let the normal user work until the end of the block. Then the future has the diary.

    The user has a separate process, so that preparing the next strike does not delay the measured answers.
    """
    normal, diary = cast.normal, asyncio.get_running_loop().create_future()
    work = Work(normal.gateway, normal.email, normal.password, normal.address, cast.lead, cast.account)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attacks.normal", json.dumps(asdict(work))),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"at work\n"
    try:
        yield diary
    finally:
        # Before Python 3.12, `communicate` closes the standard input only if it has something to write.
        written, _ = await process.communicate(b"")
    assert process.returncode == 0
    found = json.loads(written)
    diary.set_result(Diary(found["seconds"], {int(status): count for status, count in found["answers"].items()}))


def memory(suite: Suite) -> dict[str, int]:
    """Return the resident bytes of every service process. Raises FileNotFoundError if one has ended."""
    return {one["name"]: _resident(one["pid"]) for one in suite.status["services"]}


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise FileNotFoundError(f"process {pid} has ended")
