"""Which processes still answer: a hung one neither dies nor works, so nobody but its neighbours notices.

Everything is asked at once and waited for together, so that a look takes two seconds at most however many are hung. No
connection outlives the look: the supervisor forks at any time.
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
"""As many looks in a row without an answer mean that a process hangs."""
START_MISSES = 18
"""As many more are forgiven to one that has not answered yet: it is starting, a database may be recovering."""

QUESTIONS: Mapping[str, bytes] = {
    "http": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    # An SSLRequest: the server answers it with one byte, before anybody logs in (PostgreSQL protocol 3, §55.2.11).
    "postgresql": bytes.fromhex("0000000804d2162f"),
    # The protocol header, which the broker answers with Connection.Start (AMQP 0-9-1 §4.2.2).
    "amqp": b"AMQP\x00\x00\x09\x01",
}


def seconds_between_looks() -> float:
    """CRM_LIVENESS_SECONDS, 10 unless set; 0 never looks. Raises ValueError when it is no number."""
    return float(os.environ.get("CRM_LIVENESS_SECONDS") or 10)


@dataclass
class Liveness:
    """Counts, for each process, the looks in a row that it did not answer. Those of the first look have been ready."""

    every: float
    _due_at: float = 0.0
    _missed: dict[tuple[str, int], int] | None = None

    def hung(self, asked: Mapping[tuple[str, int], str]) -> list[tuple[str, int]]:
        """Of these processes, by name and pid, with their URLs: those that hang. Looks only when it is time to."""
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
                # The kernel of this machine accepts for a process that does not.
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
