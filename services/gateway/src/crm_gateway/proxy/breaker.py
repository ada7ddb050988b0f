"""The two guards of an upstream: a limit of concurrent calls, and a circuit breaker."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from crm_contracts.sentences import said
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.signals.metrics import counter

FAILURES_TO_OPEN: Final = 5
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 8.0

REFUSED = counter(
    "crm.gateway.refused",
    "Requests that the gateway did not forward because of the rate limit, the caller's share, the slots or the breaker.",
    "upstream",
    "reason",
)


class Unavailable(DomainError):
    """503 with the seconds until another attempt can succeed."""

    def __init__(self, detail: str, seconds: float = 1.0) -> None:
        super().__init__("unavailable", detail, members={"retry_after": max(1, math.ceil(seconds))})


class TooManyUnderWay(DomainError):
    """429: the caller has too many concurrent calls. Other callers are not affected."""

    def __init__(self, upstream: str, share: int) -> None:
        super().__init__(
            "too-many-requests",
            said(
                "{share} requests of yours to the {service} service are under way; wait until some of them are "
                "answered.",
                share=share,
                service=upstream,
            ),
            members={"retry_after": 1},
        )


class Bulkhead:
    """At most ``slots`` concurrent calls.

    Further calls are refused at once, so that a hung upstream does not hold up others.

    One caller gets at most ``share`` of them, half by default, so that its slow calls leave slots to others.
    """

    def __init__(self, upstream: str, slots: int, share: int | None = None) -> None:
        self._upstream, self._slots = upstream, slots
        self._share = max(1, slots // 2) if share is None else share
        self._held: Counter[Hashable] = Counter()
        self.taken = 0

    @contextmanager
    def slot(self, caller: Hashable = None) -> Iterator[None]:
        """Hold one slot. 429 if the caller holds too many, 503 if all are taken. None stands for the gateway itself."""
        if caller is not None and self._held[caller] >= self._share:
            REFUSED.labels(self._upstream, "share").inc()
            raise TooManyUnderWay(self._upstream, self._share)
        if self.taken >= self._slots:
            REFUSED.labels(self._upstream, "slots").inc()
            raise Unavailable(said("The {service} service is busy; try again.", service=self._upstream))
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
    """Opens after five failures in a row. Then single calls test whether the upstream is back.

    The pause before a test starts at 1 s and doubles up to 8 s while tests fail. The callers of this class decide what
    a failure is: a slow answer to one caller is none.
    """

    def __init__(self, upstream: str, now: Callable[[], float] = clock.monotonic) -> None:
        self._upstream, self._now = upstream, now
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._closed_again_at = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether calls are refused, except for a test after each pause."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def on_the_brink(self) -> bool:
        """Whether one more failure opens the breaker or keeps it open."""
        return self._failures + 1 >= FAILURES_TO_OPEN

    def admit(self) -> bool:
        """Admit a call, or raise 503. True if the call is the test of an open breaker; its outcome must be reported."""
        if not self.open:
            return False
        left = self._closed_again_at - self._now()
        if left > 0 or self._trying:
            REFUSED.labels(self._upstream, "breaker").inc()
            raise Unavailable(
                said("The service '{service}' cannot be reached; try again.", service=self._upstream),
                max(left, FIRST_PAUSE),
            )
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Report that the upstream answered, with any status."""
        self._failures, self._pause, self._trying = 0, FIRST_PAUSE, False

    def failed(self) -> None:
        """Report that there was no connection, or that it broke before an answer."""
        self._failures += 1
        if self._trying:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if self.open:
            self._closed_again_at = self._now() + self._pause
        self._trying = False

    def abandoned(self) -> None:
        """Report that the test has no outcome, because its caller went away."""
        self._trying = False
