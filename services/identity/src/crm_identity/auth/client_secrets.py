"""The secrets of API clients: made here, shown once, kept as argon2id hashes."""

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.auth.passwords import hash_password

PREFIX = "crm_"
"""So that scanners of repositories and logs know one when they see it."""

KEEP_SECRET = (
    "insert into client_secret (client_id, secret_hash, changed_at) values ($1, $2, $3)"  # noqa: S105  # SQL
    " on conflict (client_id) do update set secret_hash = excluded.secret_hash, changed_at = excluded.changed_at"
)


async def new_secret() -> tuple[str, str]:
    """A secret of 256 random bits, and its hash."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, await hash_password(secret)


async def keep_secret(conn: AsyncConnection, client_id: UUID, secret_hash: str, now: datetime) -> None:
    """Set a client's secret; the one before is good no more."""
    await conn.exec_driver_sql(KEEP_SECRET, (client_id, secret_hash, now))
