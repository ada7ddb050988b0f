"""What the judge looks at: the normal user's answers and latencies, and the memory of every process."""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from crm_kit.clock import monotonic
from tests.attacks.people import Cast
from tests.integration.suite import Suite

PACE_SECONDS = 0.05


@dataclass
class Diary:
    """How the normal user fared."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)

    def p95(self) -> float:
        """Seconds within which 95 % of the answers came."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]


async def work(cast: Cast, until: asyncio.Event) -> Diary:
    """Read, list, create and change leads and tasks, one request after another, as a person's pages do."""
    diary = Diary()
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/leads/{cast.lead}", {}),
        ("GET", "/leads?limit=50&sort=-created_at", {}),
        ("POST", "/leads", {"topic": "Gold card", "last_name": "Normal"}),
        ("GET", f"/accounts/{cast.account}", {}),
        ("GET", "/tasks?limit=20", {}),
        ("POST", "/tasks", {"subject": "Call back"}),
        ("GET", "/cases?limit=20", {}),
        ("GET", f"/customers/{cast.account}/360", {}),
    ]
    for method, path, body in cycle(steps):
        if until.is_set():
            return diary
        options = {"json": {**body}, "headers": {"Idempotency-Key": secrets.token_hex(8)}} if body else {}
        began = monotonic()
        status, _ = await cast.normal.ask(method, path, **options)
        diary.seconds.append(monotonic() - began)
        diary.answers[status] += 1
        try:
            async with asyncio.timeout(PACE_SECONDS):
                await until.wait()
        except TimeoutError:
            continue
    raise AssertionError("a cycle does not end")


def memory(suite: Suite) -> dict[str, int]:
    """Resident bytes of every service process. Raises FileNotFoundError for one that has ended."""
    return {one["name"]: _resident(one["pid"]) for one in suite.status["services"]}


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise FileNotFoundError(f"process {pid} has ended")
