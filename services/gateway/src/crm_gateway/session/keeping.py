"""Sessions of browsers: their tokens stay here, and are refreshed once however many tabs ask at the same time.

The database has the hash of a browser's secret and the tokens, encrypted. A process remembers what it read for two seconds, so
a session that another process ended is refused by then.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.proxy.upstream import DeadlineExceeded
from crm_gateway.session.granting import IDENTITY, Granted, Granting, Whence
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.access.sealing import WrongSecret, seal, unseal
from crm_kit.access.tokens import InvalidToken
from crm_kit.errors import DomainError
from crm_kit.process.runtime import Runtime
from crm_kit.store.chores import delete_some

PURPOSE: Final = "sessions of browsers"
REMEMBERED_SECONDS: Final = 2.0
"""How long a process uses what it read of a session before it reads it again."""
SESSIONS_HELD: Final = 10_000
EARLY: Final = timedelta(seconds=15)
"""An access token with less time than this is refreshed, so that it is still valid when a service verifies it."""
EARLY_FOR_TRANSFERS: Final = timedelta(minutes=5)
"""The same for an import or a file, which may wait for its turn before a service sees it."""
PATIENCE_SECONDS: Final = 5.0
"""How long a request waits for its session. Refreshes wait for each other, and identity may be slow."""
MOST_UNDER_WAY: Final = 2000
REFRESHES_AT_ONCE: Final = 1
"""A refresh holds a connection while identity answers. One at a time leaves the others for reads."""

READ: Final = "select sealed, session_id, fresh_until, began_at, expires_at from browser_session where secret_hash = $1"
ADD: Final = (
    "insert into browser_session (secret_hash, session_id, sealed, fresh_until, began_at, expires_at)"
    " values ($1, $2, $3, $4, $5, $6)"
)
RENEW: Final = "update browser_session set sealed = $2, fresh_until = $3, expires_at = $4 where secret_hash = $1"
END: Final = "delete from browser_session where secret_hash = $1 returning sealed"

T = TypeVar("T")
log = structlog.get_logger(__name__)


class SessionEnded(DomainError):
    """401: nobody is logged in with this cookie, or no longer."""

    def __init__(self) -> None:
        super().__init__("session-ended", "You are not logged in, or your session has ended. Log in.")


@dataclass(frozen=True, slots=True)
class Held(Granted):
    """A session, as it was read."""

    began_at: datetime


class Sessions:
    """The sessions of this gateway. Use it in one event loop, and ``close`` it."""

    def __init__(self, runtime: Callable[[], Runtime], granting: Granting) -> None:
        self._runtime, self._granting = runtime, granting
        self._held: OrderedDict[bytes, tuple[Held, float]] = OrderedDict()
        self._under_way: dict[tuple[str, bytes], asyncio.Task[Any]] = {}
        self._refreshing = asyncio.Semaphore(REFRESHES_AT_ONCE)

    async def close(self) -> None:
        """Wait for refreshes: identity has spent their refresh tokens, and the new ones must be kept."""
        if tasks := list(self._under_way.values()):
            _, left = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def open(self, email: str, password: str, whence: Whence) -> tuple[str, Held]:
        """Log in. Return the secret for the browser. Raises identity's problem."""
        granted = await self._granting.by_password(email, password, whence)
        secret = secrets.token_urlsafe(32)
        digest, now = _digest(secret), clock.now()
        values = (
            digest,
            granted.session_id,
            self._sealed(digest, granted),
            granted.fresh_until,
            now,
            granted.expires_at,
        )
        async with self._runtime().db.autocommit() as conn:
            await conn.exec_driver_sql(ADD, values)
        return secret, self._remember(digest, _held(granted, now))

    def is_held(self, secret: str) -> bool:
        """Whether this process knows the session: only others cost a look into the database."""
        return _digest(secret) in self._held

    async def find(self, secret: str) -> Held:
        """Return the session. 401 if it has ended."""
        digest = _digest(secret)
        known = self._held.get(digest)
        if known is not None and known[1] + REMEMBERED_SECONDS > clock.monotonic():
            self._held.move_to_end(digest)
            return known[0]
        held: Held | None = await self._once("read", digest, lambda: self._read(digest))
        if held is None:
            raise SessionEnded
        return held

    async def caller(self, secret: str, whence: Whence, least: timedelta = EARLY) -> tuple[Held, Principal]:
        """Return the session with a valid access token, and who is logged in. 401 if the session has ended.

        The token is refreshed when it is valid for ``least`` at most, or is refused because rights have changed.
        """
        held, tokens = await self.find(secret), self._runtime().tokens
        left = held.fresh_until - clock.now()
        failure: DomainError | None = None
        if left > least:
            try:
                return held, tokens.cached(held.access_token) or await tokens.verify(held.access_token)
            except InvalidToken as error:
                failure = error
        try:
            held = await self.renew(secret, held, whence)
        except SessionEnded:
            raise
        except DomainError:
            # Identity is away. A token that is valid for some more seconds serves meanwhile.
            if failure is not None or left <= timedelta(0):
                raise
        return held, await tokens.verify(held.access_token)

    async def end(self, secret: str, whence: Whence) -> None:
        """Log out. The browser's secret is worthless afterwards, even if identity cannot be told."""
        digest = _digest(secret)
        self._held.pop(digest, None)
        async with self._runtime().db.autocommit() as conn:
            sealed: bytes | None = (await conn.exec_driver_sql(END, (digest,))).scalar_one_or_none()
        if sealed is None:
            return
        try:
            await self._granting.revoke(self._opened(digest, sealed)[1], whence)
        except (DomainError, WrongSecret) as error:
            # The refresh token was only in the row that is gone, so nobody can continue the session.
            log.warning("identity was not told of a log-out", error=type(error).__name__)

    async def renew(self, secret: str, held: Held, whence: Whence) -> Held:
        """Return the session with another access token than this one. 401 if it has ended."""
        digest = _digest(secret)
        renewed: Held | None = await self._once(
            "refresh", digest, lambda: self._refresh(digest, held.access_token, whence)
        )
        if renewed is None:
            raise SessionEnded
        return renewed

    async def _read(self, digest: bytes) -> Held | None:
        async with self._runtime().db.autocommit() as conn:
            return await self._row(conn, digest, READ)

    async def _refresh(self, digest: bytes, stale: str, whence: Whence) -> Held | None:
        """Refresh under a lock of the row, so that no other process spends the same refresh token."""
        async with self._refreshing, self._runtime().db.begin() as conn:
            held = await self._row(conn, digest, f"{READ} for update")
            if held is None or held.access_token != stale:
                return held
            try:
                granted = await self._granting.by_refresh(held, whence)
            except DomainError as error:
                if error.slug != "invalid-grant":
                    raise
                await conn.exec_driver_sql(END, (digest,))
                self._held.pop(digest, None)
                return None
            values = (digest, self._sealed(digest, granted), granted.fresh_until, granted.expires_at)
            await conn.exec_driver_sql(RENEW, values)
        return self._remember(digest, _held(granted, held.began_at))

    async def _row(self, conn: AsyncConnection, digest: bytes, sql: str) -> Held | None:
        row: Any = (await conn.exec_driver_sql(sql, (digest,))).one_or_none()
        if row is None or row.expires_at <= clock.now():
            self._held.pop(digest, None)
            return None
        try:
            pair = self._opened(digest, row.sealed)
        except WrongSecret:
            self._held.pop(digest, None)
            return None
        return self._remember(digest, Held(row.session_id, *pair, row.fresh_until, row.expires_at, row.began_at))

    async def _once(self, what: str, digest: bytes, work: Callable[[], Awaitable[T]]) -> T:
        """Do this once for all who ask at the same time. It goes on when one of them hangs up or has waited long enough: 504."""
        key = what, digest
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise Unavailable(said("Too many sessions are being read or refreshed. Try again."))
            task = self._under_way[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._over(key, done))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                result: T = await asyncio.shield(task)
        except TimeoutError:
            if task.done():
                raise
            raise DeadlineExceeded(IDENTITY) from None
        return result

    def _over(self, key: tuple[str, bytes], done: asyncio.Task[Any]) -> None:
        del self._under_way[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            # Whoever waited has got it. Here it is only read, because everybody may have hung up.
            log.info("a session was not read or refreshed", what=key[0], error=type(error).__name__)

    def _remember(self, digest: bytes, held: Held) -> Held:
        self._held[digest] = held, clock.monotonic()
        self._held.move_to_end(digest)
        if len(self._held) > SESSIONS_HELD:
            self._held.popitem(last=False)
        return held

    @property
    def _secret(self) -> str:
        return self._runtime().settings.secret.get_secret_value()

    def _sealed(self, digest: bytes, granted: Granted) -> bytes:
        pair = orjson.dumps([granted.access_token, granted.refresh_token])
        return seal(pair, digest, self._secret, PURPOSE)

    def _opened(self, digest: bytes, sealed: bytes) -> tuple[str, str]:
        access_token, refresh_token = orjson.loads(unseal(sealed, digest, self._secret, PURPOSE))
        return access_token, refresh_token


async def forget_ended(conn: AsyncConnection, now: datetime) -> int:
    """Delete a batch of sessions that have ended. Return the number deleted."""
    return await delete_some(conn, "browser_session", "expires_at < $1", now)


def _held(granted: Granted, began_at: datetime) -> Held:
    return Held(
        granted.session_id,
        granted.access_token,
        granted.refresh_token,
        granted.fresh_until,
        granted.expires_at,
        began_at,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
