"""The connection of a unit of work. It counts towards the caller's share, and is in a transaction once something is locked."""

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
"""The kind of the principal as which a service acts on its own."""
SHORTEST_WAIT: Final = 0.05


class Link:
    """Connects at the first query. Begins a transaction and claims the Idempotency-Key at the first lock."""

    def __init__(
        self,
        runtime: Runtime,
        principal: Principal,
        now: datetime,
        conn: AsyncConnection | None,
        key: IdempotencyKey | None,
    ) -> None:
        """``conn`` is a connection in a transaction that the caller commits."""
        self.runtime = runtime
        self.principal = principal
        self.key = key
        self.began, self.waited = clock.monotonic(), 0.0
        """When the unit of work began (monotonic clock), and for how many seconds it has waited for its turn."""
        self.has_asked = False
        """Whether it has ever requested a connection. If not, the database did not cause a delay."""
        self.is_connecting = self.is_in_line = False
        self._now = now
        self._held = conn
        self._borrowed = conn is not None
        self._in_transaction = conn is not None
        self._stack = AsyncExitStack()

    @property
    def stands_in_line(self) -> bool:
        """Whether it is waiting for its turn or for a connection."""
        return self.is_in_line or self.is_connecting

    @property
    def is_unbounded(self) -> bool:
        """Whether no client waits for the answer, as in consumers and timers."""
        return self._borrowed or self.principal.kind == SYSTEM

    async def connection(self) -> AsyncConnection:
        """Return the connection. It is in autocommit until something is locked, and then in the transaction."""
        if self._held is None:
            self._held = await self._connect(autocommit=True)
        return self._held

    async def transaction(self) -> AsyncConnection:
        """Return the connection in the transaction, which begins now if necessary. Use it for writes other than records."""
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = await self._connect(autocommit=False)
            self._in_transaction = True
            if self.key is not None:
                await self.key.claim(self._held, self._now)
        assert self._held is not None
        return self._held

    async def let_go(self) -> None:
        """Return the connection to the pool during a wait. A connection in a transaction is kept, because it holds locks."""
        if not self._in_transaction:
            await self._stack.aclose()
            self._held = None

    async def take(self, shares: Shares) -> None:
        """Take a share in the caller's turn. All waits of a request together have one time limit, so that time remains for
        its work."""
        now = clock.monotonic()
        self.is_in_line = self.has_asked = True
        await shares.take(self.principal.id, max(WAIT_SECONDS - (now - self.began), SHORTEST_WAIT))
        self.is_in_line = False
        self.waited += clock.monotonic() - now

    async def commit(self) -> None:
        """Commit the transaction, unless it belongs to the caller."""
        if self._in_transaction and not self._borrowed and self._held is not None:
            await self._held.commit()

    async def close(self) -> None:
        """Return the connection to the pool. Uncommitted changes are rolled back."""
        if not self._borrowed:
            await self._stack.aclose()
            self._held = None

    async def _connect(self, *, autocommit: bool) -> AsyncConnection:
        """Connect within the caller's share. The service itself has no share, because it works for all callers."""
        db, principal = self.runtime.db, self.principal
        if principal.kind != SYSTEM:
            await self.take(db.shares)
            self._stack.callback(db.shares.give, principal.id)
        self.is_connecting = self.has_asked = True
        conn = await self._stack.enter_async_context(db.connect(autocommit=autocommit))
        self.is_connecting = False
        return conn
