"""Which worker reads a mailbox, and how far. A claim ends by itself, so that another worker can go on after a crash."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.store.record import new_id

CLAIM: Final = timedelta(minutes=5)
"""How long a claim holds. Each batch that is stored renews it."""

ENSURE: Final = (
    "insert into mailbox_cursor (mailbox, uid_validity, last_uid) values ($1, 0, 0) on conflict (mailbox) do nothing"
)
TAKE: Final = (
    "update mailbox_cursor set claim = $2, claimed_until = $4 where mailbox = $1"
    " and (claimed_until is null or claimed_until <= $3) returning uid_validity, last_uid"
)
ADVANCE: Final = (
    "update mailbox_cursor set uid_validity = $3, last_uid = $4, claimed_until = $5 where mailbox = $1 and claim = $2"
    " and claimed_until is not null returning mailbox"
)
LET_GO: Final = (
    "update mailbox_cursor set claim = null, claimed_until = null, problem = $4, polled_at = coalesce($3, polled_at)"
    " where mailbox = $1 and claim = $2"
)
SEEN: Final = "select polled_at from mailbox_cursor where mailbox = $1"


class ClaimLost(Exception):
    """Another worker has taken the mailbox over."""


@dataclass(slots=True)
class Claim:
    """The right to read a mailbox, and the position up to which its mails are stored."""

    mailbox: str
    id: UUID
    uid_validity: int
    last_uid: int


async def take(conn: AsyncConnection, mailbox: str) -> Claim | None:
    """Claim a mailbox; None if another worker reads it."""
    claim_id, now = new_id(), clock.now()
    await conn.exec_driver_sql(ENSURE, (mailbox,))
    row = (await conn.exec_driver_sql(TAKE, (mailbox, claim_id, now, now + CLAIM))).mappings().one_or_none()
    return None if row is None else Claim(mailbox, claim_id, row["uid_validity"], row["last_uid"])


async def advance(conn: AsyncConnection, claim: Claim, uid_validity: int, last_uid: int) -> None:
    """Move the position, in the transaction that stores the mails up to it. Raises ClaimLost."""
    parameters = (claim.mailbox, claim.id, uid_validity, last_uid, clock.now() + CLAIM)
    if (await conn.exec_driver_sql(ADVANCE, parameters)).first() is None:
        raise ClaimLost(claim.mailbox)


async def let_go(conn: AsyncConnection, claim: Claim, polled_at: datetime | None, problem: str | None) -> None:
    """End a claim. ``polled_at`` is when the mailbox was read to its end; None after a failure."""
    await conn.exec_driver_sql(LET_GO, (claim.mailbox, claim.id, polled_at, problem))


async def polled_at(conn: AsyncConnection, mailbox: str) -> datetime | None:
    """When a worker last read the mailbox to its end."""
    found: datetime | None = (await conn.exec_driver_sql(SEEN, (mailbox,))).scalar_one_or_none()
    return found
