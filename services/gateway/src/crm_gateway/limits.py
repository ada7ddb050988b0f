"""How many requests one caller may send: a token bucket per principal, and per address for those without one."""

import math
from collections import OrderedDict
from typing import Final

from crm_gateway.proxy.breaker import REFUSED
from crm_kit import clock
from crm_kit.errors import DomainError

CALLERS_HELD: Final = 10_000


class TooManyRequests(DomainError):
    """429 with the seconds after which another request is worth it."""

    def __init__(self, seconds: int, rate: float) -> None:
        super().__init__(
            "too-many-requests",
            f"You send more than {rate:g} requests a second; slow down.",
            members={"retry_after": seconds},
        )


class Limiter:
    """Buckets of ``burst`` requests, refilled with ``rate`` a second. Each replica counts by itself."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()
        # draft-ietf-httpapi-ratelimit-headers-10: quota and the window that restores it.
        self.policy = f'"caller";q={burst};w={math.ceil(burst / rate)}'.encode()

    def take(self, caller: object) -> float:
        """Count one request and return how many more the caller has at once; below zero, this one is too many."""
        now = clock.monotonic()
        known = self._buckets.get(caller)
        if known is None:
            left = self._burst
            if len(self._buckets) >= CALLERS_HELD:
                self._buckets.popitem(last=False)
        else:
            left = min(self._burst, known[0] + (now - known[1]) * self._rate)
            self._buckets.move_to_end(caller)
        self._buckets[caller] = (left if left < 1 else left - 1), now
        return left - 1

    def headers(self, left: float) -> list[tuple[bytes, bytes]]:
        """What the answer tells the caller of its quota: what remains, and in how many seconds all of it is back."""
        whole = max(0, int(left))
        back = math.ceil((self._burst - whole) / self._rate)
        return [(b"ratelimit-policy", self.policy), (b"ratelimit", b'"caller";r=%d;t=%d' % (whole, back))]

    def refusal(self, left: float) -> TooManyRequests:
        """The 429 for a caller with nothing left."""
        REFUSED.labels("", "rate").inc()
        return TooManyRequests(max(1, math.ceil(-left / self._rate)), self._rate)
