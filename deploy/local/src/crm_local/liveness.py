"""Finds hung processes: a hung process neither exits nor works, so the supervisor must ask.

All processes are asked at the same time, so that a check takes at most two seconds however many are hung. No
connection outlives the check, because the supervisor forks at any time.
"""

import os
import select
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from crm_kit.clock import monotonic

ANSWER_SECONDS = 2.0
MISSES = 3
"""Number of checks in a row without an answer after which a process counts as hung."""
START_MISSES = 18
"""Additional checks for a process that has not answered yet: it is starting, or a database is recovering."""

QUESTIONS: Mapping[str, bytes] = {
    "http": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    # An SSLRequest: the server answers it with one byte, before anybody logs in (PostgreSQL protocol 3, §55.2.11).
    "postgresql": bytes.fromhex("0000000804d2162f"),
    # The protocol header, which the broker answers with Connection.Start (AMQP 0-9-1 §4.2.2).
    "amqp": b"AMQP\x00\x00\x09\x01",
}


def seconds_between_looks() -> float:
    """CRM_LIVENESS_SECONDS, 10 unless set; 0 disables the checks. Raises ValueError if it is not a number."""
    return float(os.environ.get("CRM_LIVENESS_SECONDS") or 10)


@dataclass
class Liveness:
    """Counts the unanswered checks in a row of each process. The processes of the first check have been ready."""

    every: float
    _due_at: float = 0.0
    _missed: dict[tuple[str, int], int] | None = None

    def hung(self, asked: Mapping[tuple[str, int], str]) -> list[tuple[str, int]]:
        """The hung ones of these processes, by name and pid with their URLs. Checks only when it is due."""
        if not self.every or monotonic() < self._due_at:
            return []
        answered = _answering(asked)
        self._due_at = monotonic() + self.every
        before = dict.fromkeys(asked, 0) if self._missed is None else self._missed
        self._missed = {one: 0 if one in answered else before.get(one, -START_MISSES) + 1 for one in asked}
        return [one for one, missed in self._missed.items() if missed >= MISSES]


def _answering(asked: Mapping[tuple[str, int], str]) -> set[tuple[str, int]]:
    answered = set()
    with ExitStack() as stack:
        poll, waiting = select.poll(), {}
        for one, url in asked.items():
            parts = urlsplit(url)
            try:
                # The kernel accepts connections even if the process does not.
                connection = socket.create_connection((parts.hostname, parts.port), timeout=ANSWER_SECONDS)
                stack.callback(connection.close)
                connection.sendall(QUESTIONS[parts.scheme])
            except OSError:
                continue
            waiting[connection.fileno()] = one
            poll.register(connection, select.POLLIN)
        until = monotonic() + ANSWER_SECONDS
        while waiting and (left := until - monotonic()) > 0:
            for descriptor, event in poll.poll(left * 1000):
                poll.unregister(descriptor)
                one = waiting.pop(descriptor)
                if event & select.POLLIN:
                    answered.add(one)
    return answered
