"""Two guards of one upstream: how many calls may be under way, and whether calling makes sense at all."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.signals.metrics import counter

FAILURES_TO_OPEN: Final = 5
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 8.0

REFUSED = counter(
    "crm.gateway.refused", "Requests that reached no service: rate, share, slots or breaker.", "upstream", "reason"
)


class Unavailable(DomainError):
    """503 with the seconds after which another try is worth it."""

    def __init__(self, detail: str, seconds: float = 1.0) -> None:
        super().__init__("unavailable", detail, members={"retry_after": max(1, math.ceil(seconds))})


class TooManyUnderWay(DomainError):
    """429: the caller's own calls are in the way, and nobody else's."""

    def __init__(self, upstream: str, share: int) -> None:
        super().__init__(
            "too-many-requests",
            f"{share} requests of yours to the {upstream} service are under way; wait until some of them are answered.",
            members={"retry_after": 1},
        )


class Bulkhead:
    """At most ``slots`` calls at a time; one more is refused at once, so that a hung upstream costs nobody else anything.

    Half of them at most are one caller's, or ``share``, so that nobody's slow calls cost the others theirs.
    """

    def __init__(self, upstream: str, slots: int, share: int | None = None) -> None:
        self._upstream, self._slots = upstream, slots
        self._share = max(1, slots // 2) if share is None else share
        self._held: Counter[Hashable] = Counter()
        self.taken = 0

    @contextmanager
    def slot(self, caller: Hashable = None) -> Iterator[None]:
        """Hold one slot; 429 when the caller holds too many, 503 when all are taken. None is the gateway itself."""
        if caller is not None and self._held[caller] >= self._share:
            REFUSED.labels(self._upstream, "share").inc()
            raise TooManyUnderWay(self._upstream, self._share)
        if self.taken >= self._slots:
            REFUSED.labels(self._upstream, "slots").inc()
            raise Unavailable(f"The {self._upstream} service is busy; try again.")
        self.taken += 1
        self._held[caller] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]


class Breaker:
    """Opens after five failures in a row; then one call at a time tries whether the upstream is back.

    The pause before a try starts at 1 s and doubles up to 8 s while tries fail. What a failure is, others decide: a slow
    answer to one caller is none.
    """

    def __init__(self, upstream: str, now: Callable[[], float] = clock.monotonic) -> None:
        self._upstream, self._now = upstream, now
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._closed_again_at = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether calls are refused but for a try now and then."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def on_the_brink(self) -> bool:
        """Whether one more failure opens it, or keeps it open."""
        return self._failures + 1 >= FAILURES_TO_OPEN

    def admit(self) -> bool:
        """Let a call through, or 503. True when the call is the one try of an open breaker: settle it in any case."""
        if not self.open:
            return False
        left = self._closed_again_at - self._now()
        if left > 0 or self._trying:
            REFUSED.labels(self._upstream, "breaker").inc()
            raise Unavailable(f"The service '{self._upstream}' cannot be reached; try again.", max(left, FIRST_PAUSE))
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The upstream answered, whatever it said."""
        self._failures, self._pause, self._trying = 0, FIRST_PAUSE, False

    def failed(self) -> None:
        """No connection, or it broke before an answer."""
        self._failures += 1
        if self._trying:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if self.open:
            self._closed_again_at = self._now() + self._pause
        self._trying = False

    def abandoned(self) -> None:
        """The try ended without telling anything: its caller went away."""
        self._trying = False
