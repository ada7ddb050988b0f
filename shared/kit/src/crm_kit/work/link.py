"""The one connection of a unit of work: out of the caller's share, in a transaction once something is locked."""

from contextlib import AsyncExitStack
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.store.shares import WAIT_SECONDS, Shares
from crm_kit.work.idempotency import IdempotencyKey

SYSTEM = "system"
"""The kind of principal that a service is to itself."""
SHORTEST_WAIT: Final = 0.05


class Link:
    """Connects when something is asked first, and begins when something is locked first: then it claims the Idempotency-Key."""

    def __init__(
        self,
        runtime: Runtime,
        principal: Principal,
        now: datetime,
        conn: AsyncConnection | None,
        key: IdempotencyKey | None,
    ) -> None:
        """``conn`` is a connection in a transaction of somebody else, who commits it."""
        self.runtime = runtime
        self.principal = principal
        self.key = key
        self.began, self.waited = clock.monotonic(), 0.0
        """When the unit of work began, and the seconds that it has waited for its turn."""
        self.has_asked = False
        """Whether it ever wanted a connection: else what took the time was not the database."""
        self.is_connecting = self.is_in_line = False
        self._now = now
        self._held = conn
        self._borrowed = conn is not None
        self._in_transaction = conn is not None
        self._stack = AsyncExitStack()

    @property
    def stands_in_line(self) -> bool:
        """Whether it waits for a connection, and so has done nothing since."""
        return self.is_in_line or self.is_connecting

    @property
    def is_unbounded(self) -> bool:
        """Whether nobody waits for an answer: of a consumer or a timer nothing is asked."""
        return self._borrowed or self.principal.kind == SYSTEM

    async def connection(self) -> AsyncConnection:
        """The connection in use: the transaction's once something is locked, until then one in autocommit."""
        if self._held is None:
            self._held = await self._connect(autocommit=True)
        return self._held

    async def transaction(self) -> AsyncConnection:
        """The connection inside the transaction, begun now if it was not: for what is written beside the records."""
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = await self._connect(autocommit=False)
            self._in_transaction = True
            if self.key is not None:
                await self.key.claim(self._held, self._now)
        assert self._held is not None
        return self._held

    async def let_go(self) -> None:
        """Give the connection back while something else is waited for. What is locked stays so: then it is kept."""
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = None

    async def take(self, shares: Shares) -> None:
        """Take one in the caller's turn: all turns of a request together are to leave time for its work."""
        now = clock.monotonic()
        self.is_in_line = self.has_asked = True
        await shares.take(self.principal.id, max(WAIT_SECONDS - (now - self.began), SHORTEST_WAIT))
        self.is_in_line = False
        self.waited += clock.monotonic() - now

    async def commit(self) -> None:
        """Commit what is in a transaction of its own."""
        if self._in_transaction and not self._borrowed and self._held is not None:
            await self._held.commit()

    async def close(self) -> None:
        """Give the connection back; what is not committed is rolled back."""
        if not self._borrowed:
            await self._stack.aclose()
            self._held = None

    async def _connect(self, *, autocommit: bool) -> AsyncConnection:
        """A connection out of the caller's share; the service itself, whose work is everybody's, has no bounds."""
        db, principal = self.runtime.db, self.principal
        if principal.kind != SYSTEM:
            await self.take(db.shares)
            self._stack.callback(db.shares.give, principal.id)
        self.is_connecting = self.has_asked = True
        conn = await self._stack.enter_async_context(db.connect(autocommit=autocommit))
        self.is_connecting = False
        return conn
