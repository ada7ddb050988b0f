"""Shares of a scarce resource: each holder has a share, and waits in its own queue when the share is used up."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

from crm_kit.errors import DomainError
from crm_kit.signals.metrics import counter

WAIT_SECONDS: Final = 2.0
"""Seconds that a request waits for its turn, in one or several queues: the same as for a connection of the pool."""
LONGEST_LINE: Final = 200
"""Number of waiting requests of one holder; one more is refused at once."""

REFUSED = counter("crm.shares.refused", "Requests that were refused because their share stayed in use.", "share")


class TooManyAtOnce(DomainError):
    """429: the caller's own requests use up its share."""

    def __init__(self) -> None:
        super().__init__(
            "too-many-requests",
            "Other requests of yours keep this service busy; send fewer at a time, or wait until they are answered.",
            members={"retry_after": 1},
        )


class OthersFirst(DomainError):
    """503: other callers' requests use up everything, and the caller holds none."""

    def __init__(self) -> None:
        super().__init__(
            "unavailable",
            "Much of what others asked for takes long just now; try again.",
            members={"retry_after": 1},
        )


class Shares:
    """At most ``each`` for one holder and ``all`` together, first come, first served. If all are taken, holders alternate.

    Taking a free one costs only a dictionary look-up, because every request does it.
    """

    def __init__(
        self, each: int, all: int | None = None, *, seconds: float = WAIT_SECONDS, name: str = "other"
    ) -> None:
        self._refused = REFUSED.labels(name)
        self._each, self._all, self._seconds = each, all, seconds
        self._held: dict[Hashable, int] = {}
        self._taken = 0
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    def held(self, holder: Hashable) -> int:
        """The number that the holder has."""
        return self._held.get(holder, 0)

    @property
    def taken(self) -> int:
        """The number that all holders have."""
        return self._taken

    def waiting(self, holder: Hashable) -> int:
        """The number of waiting requests of the holder."""
        return len(self._lines.get(holder, ()))

    def take_if_free(self, holder: Hashable) -> bool:
        """Take one if it is free without waiting; returns whether it was taken."""
        if holder in self._lines or not self._free(holder):
            return False
        self._grant(holder)
        return True

    async def take(self, holder: Hashable, seconds: float | None = None) -> None:
        """Take one, in one's turn; ``give`` it back. Raises 429 when the turn does not come within ``seconds``, or too many
        wait for theirs; 503 when the holder has none, and so waited for others only."""
        if self.take_if_free(holder):
            return
        line = self._lines.setdefault(holder, deque())
        if len(line) >= LONGEST_LINE:
            self._refused.inc()
            raise TooManyAtOnce
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(self._seconds if seconds is None else seconds):
                await turn
        except BaseException as error:
            self._leave(holder, turn)
            if isinstance(error, TimeoutError):
                self._refused.inc()
                raise (TooManyAtOnce if self.held(holder) else OthersFirst)() from None
            raise

    def give(self, holder: Hashable) -> None:
        """Give one back; the next waiting holder gets it."""
        left = self._held[holder] - 1
        self._taken -= 1
        if left:
            self._held[holder] = left
        else:
            del self._held[holder]
        if self._lines:
            self._serve()

    def _free(self, holder: Hashable) -> bool:
        return self._held.get(holder, 0) < self._each and (self._all is None or self._taken < self._all)

    def _grant(self, holder: Hashable) -> None:
        self._held[holder] = self._held.get(holder, 0) + 1
        self._taken += 1

    def _serve(self) -> None:
        for holder in list(self._lines):
            line = self._lines[holder]
            while line and self._free(holder):
                turn = line.popleft()
                if not turn.done():
                    self._grant(holder)
                    turn.set_result(None)
                    # A served holder goes to the end of the queue.
                    self._lines.move_to_end(holder)
            if not line:
                del self._lines[holder]

    def _leave(self, holder: Hashable, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            # It was granted at the moment at which its request was canceled.
            self.give(holder)
        elif turn in (line := self._lines.get(holder, deque())):
            line.remove(turn)
            if not line:
                del self._lines[holder]
