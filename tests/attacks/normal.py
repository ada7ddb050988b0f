"""The normal user as a program: it works until its standard input ends, then writes the time of each answer."""

import asyncio
import json
import secrets
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from crm_kit.clock import monotonic
from tests.attacks.people import Actor

PACE_SECONDS = 0.05


@dataclass(frozen=True)
class Work:
    """The user, the gateway and the records to work on."""

    gateway: str
    email: str
    password: str
    address: str
    """The user's own address, so that limits for each address apply to this user alone."""
    lead: str
    account: str


async def main(work: Work) -> None:
    """Work, and write the diary as JSON: the seconds of each answer, and the number of answers with each status."""
    loop, until = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, until.set)
    actor = Actor(work.gateway, work.email, work.password, work.address)
    await actor.token()
    print("at work", flush=True)  # noqa: T201  # the judge waits for it
    seconds, answers = await _work(actor, work, until)
    await actor.close()
    print(json.dumps({"seconds": seconds, "answers": answers}))  # noqa: T201  # this is the answer


async def _work(actor: Actor, work: Work, until: asyncio.Event) -> tuple[list[float], Counter[int]]:
    """Read, list, create and change leads and tasks, one request after the other, like the pages of a user."""
    seconds, answers = list[float](), Counter[int]()
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/leads/{work.lead}", {}),
        ("GET", "/leads?limit=50&sort=-created_at", {}),
        ("POST", "/leads", {"topic": "Gold card", "last_name": "Normal"}),
        ("GET", f"/accounts/{work.account}", {}),
        ("GET", "/tasks?limit=20", {}),
        ("POST", "/tasks", {"subject": "Call back"}),
        ("GET", "/cases?limit=20", {}),
        ("GET", f"/customers/{work.account}/360", {}),
    ]
    for method, path, body in cycle(steps):
        if until.is_set():
            return seconds, answers
        options = {"json": {**body}, "headers": {"Idempotency-Key": secrets.token_hex(8)}} if body else {}
        began = monotonic()
        status, _ = await actor.ask(method, path, **options)
        seconds.append(monotonic() - began)
        answers[status] += 1
        try:
            async with asyncio.timeout(PACE_SECONDS):
                await until.wait()
        except TimeoutError:
            continue
    raise AssertionError("a cycle does not end")


if __name__ == "__main__":
    asyncio.run(main(Work(**json.loads(sys.argv[1]))))
