"""The rate limit: a token bucket per principal, or per address for callers without a token."""

import math
from collections import OrderedDict
from typing import Final

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import REFUSED
from crm_kit import clock
from crm_kit.errors import DomainError

CALLERS_HELD: Final = 10_000


class TooManyRequests(DomainError):
    """429 with the seconds until the next request can succeed."""

    def __init__(self, seconds: int, rate: float) -> None:
        super().__init__(
            "too-many-requests",
            said("You send more than {rate:g} requests a second; slow down.", rate=rate),
            members={"retry_after": seconds},
        )


class Limiter:
    """Buckets of ``burst`` requests, refilled at ``rate`` requests per second. Each replica counts separately."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()
        # draft-ietf-httpapi-ratelimit-headers-10: the quota and the window in which it is restored.
        self.policy = f'"caller";q={burst};w={math.ceil(burst / rate)}'.encode()

    def take(self, caller: object) -> float:
        """Count a request.

        Return how many more the caller has left; a negative number means that this one is too many.
        """
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
        """Return the headers on the caller's quota: the remaining requests, and the seconds until it is full."""
        whole = max(0, int(left))
        back = math.ceil((self._burst - whole) / self._rate)
        return [(b"ratelimit-policy", self.policy), (b"ratelimit", b'"caller";r=%d;t=%d' % (whole, back))]

    def refusal(self, left: float) -> TooManyRequests:
        """Return the 429 for a caller with no requests left."""
        REFUSED.labels("", "rate").inc()
        return TooManyRequests(max(1, math.ceil(-left / self._rate)), self._rate)
