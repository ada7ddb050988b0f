"""Sessions: passwords, and families of refresh tokens that can be used once each."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.store.chores import delete_some
from crm_kit.store.record import new_id

KEEP_PASSWORD = (
    "insert into credential (user_id, password_hash, changed_at) values ($1, $2, $3)"  # noqa: S105  # SQL
    " on conflict (user_id) do update set password_hash = excluded.password_hash, changed_at = excluded.changed_at"
)

ADD_LINK = (
    "insert into refresh_token"
    " (token_hash, family_id, user_id, issued_at, expires_at, began_at, address, user_agent)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8)"
)

LONGEST_ADDRESS = 45
LONGEST_AGENT = 256


@dataclass(frozen=True, slots=True)
class From:
    """Where a log-in or a refresh came from. People recognise their sessions by it."""

    address: str
    user_agent: str | None = None

    @property
    def stored(self) -> tuple[str, str | None]:
        """Both, in the length that is kept, and without control characters."""
        agent = "".join(mark for mark in self.user_agent or "" if mark.isprintable())[:LONGEST_AGENT]
        return self.address[:LONGEST_ADDRESS], agent or None


@dataclass(frozen=True, slots=True)
class Link:
    """A refresh token that can be used once, and its session."""

    token: str
    session_id: UUID
    user_id: UUID
    expires_at: datetime
    """When the session ends."""


def hashed(token: str) -> bytes:
    """Return the stored form of a refresh token. One round of SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


async def keep_password(conn: AsyncConnection, user_id: UUID, password_hash: str, now: datetime) -> None:
    """Set a user's password."""
    await conn.exec_driver_sql(KEEP_PASSWORD, (user_id, password_hash, now))


async def open_session(conn: AsyncConnection, user_id: UUID, now: datetime, lasts: timedelta, whence: From) -> Link:
    """Return the first refresh token of a new family."""
    link = Link(secrets.token_urlsafe(32), new_id(), user_id, now + lasts)
    await _add(conn, link, now, now, whence)
    return link


async def spend(conn: AsyncConnection, token: str, now: datetime, whence: From) -> Link | None:
    """Return the next token of the family of a refresh token; None if the token is not valid.

    A second use means that the token was stolen. Either user of it may be the thief, so its family ends.

    The end of a session is fixed at log-in. Refreshing does not extend it.
    """
    found = await conn.exec_driver_sql(
        "select family_id, user_id, expires_at, spent_at, revoked_at, coalesce(began_at, issued_at) from refresh_token"
        " where token_hash = $1 for update",
        (hashed(token),),
    )
    link: Any = found.one_or_none()
    if link is None:
        return None
    family_id, user_id, expires_at, spent_at, revoked_at, began_at = link
    if spent_at is not None:
        await end_family(conn, family_id, now)
        return None
    if revoked_at is not None or expires_at <= now:
        return None
    await conn.exec_driver_sql("update refresh_token set spent_at = $2 where token_hash = $1", (hashed(token), now))
    successor = Link(secrets.token_urlsafe(32), family_id, user_id, expires_at)
    await _add(conn, successor, now, began_at, whence)
    return successor


async def _add(conn: AsyncConnection, link: Link, now: datetime, began_at: datetime, whence: From) -> None:
    values = (hashed(link.token), link.session_id, link.user_id, now, link.expires_at, began_at, *whence.stored)
    await conn.exec_driver_sql(ADD_LINK, values)


async def end_family(conn: AsyncConnection, family_id: UUID, now: datetime) -> None:
    """Invalidate all tokens of the family."""
    await conn.exec_driver_sql(
        "update refresh_token set revoked_at = $2 where family_id = $1 and revoked_at is null", (family_id, now)
    )


async def end_session_of(conn: AsyncConnection, token: str, now: datetime) -> None:
    """Log out: end the family of a refresh token, used or not. An unknown token changes nothing."""
    await conn.exec_driver_sql(
        "update refresh_token set revoked_at = $2 where revoked_at is null"
        " and family_id = (select family_id from refresh_token where token_hash = $1)",
        (hashed(token), now),
    )


async def end_sessions(conn: AsyncConnection, user_id: UUID, now: datetime) -> None:
    """End every session of a user."""
    await conn.exec_driver_sql(
        "update refresh_token set revoked_at = $2 where user_id = $1 and revoked_at is null", (user_id, now)
    )


async def end_all_sessions(conn: AsyncConnection, now: datetime) -> int:
    """End every session of all users. Return the number of sessions."""
    ended = await conn.exec_driver_sql(
        "with ended as (update refresh_token set revoked_at = $1 where revoked_at is null returning family_id)"
        " select count(distinct family_id) from ended",
        (now,),
    )
    return int(ended.scalar_one())


async def forget_sessions(conn: AsyncConnection, now: datetime) -> int:
    """Delete a batch of tokens that can never be used again. Return the number deleted."""
    return await delete_some(conn, "refresh_token", "expires_at < $1", now)
