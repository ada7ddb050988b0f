"""The secrets of API clients. They are generated here, shown once and stored as argon2id hashes."""

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.auth.passwords import hash_password

PREFIX = "crm_"
"""A prefix by which scanners of repositories and logs recognise a secret."""

KEEP_SECRET = (
    "insert into client_secret (client_id, secret_hash, changed_at) values ($1, $2, $3)"  # noqa: S105  # SQL
    " on conflict (client_id) do update set secret_hash = excluded.secret_hash, changed_at = excluded.changed_at"
)


async def new_secret() -> tuple[str, str]:
    """Return a secret of 256 random bits, and its hash."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, await hash_password(secret)


async def keep_secret(conn: AsyncConnection, client_id: UUID, secret_hash: str, now: datetime) -> None:
    """Set a client's secret. The previous one becomes invalid."""
    await conn.exec_driver_sql(KEEP_SECRET, (client_id, secret_hash, now))
