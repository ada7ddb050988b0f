"""The keys that sign access tokens: encrypted in the database, published as JWKs, rotated without an interruption."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.access import sealing
from crm_kit.access.sealing import WrongSecret
from crm_kit.access.signing import SigningKey
from crm_kit.errors import DomainError
from crm_kit.signals.metrics import Readings, observed
from crm_kit.store.database import Database

INTRODUCTION = timedelta(minutes=2)
"""How long a new key is published before it signs, unless the settings say otherwise. By then every replica publishes
it, and every service can fetch it as soon as it sees a token signed with it."""

RETIREMENT = timedelta(minutes=30)
"""How long an old key is published after its successor was made. It is longer than introduction and token lifetime
together."""


PURPOSE = "signing keys"


def seal(key: SigningKey, secret: str) -> bytes:
    """Encrypt the private key with the secret. The ciphertext is bound to the id of the key."""
    return sealing.seal(key.private.private_bytes_raw(), key.kid.encode(), secret, PURPOSE)


def unseal(kid: str, sealed: bytes, secret: str) -> SigningKey:
    """Decrypt what ``seal`` returned. Raises ``WrongSecret``."""
    try:
        raw = sealing.unseal(sealed, kid.encode(), secret, PURPOSE)
    except WrongSecret:
        raise WrongSecret(
            "CRM_SECRET has changed since the signing keys were stored: set the former one,"
            " or delete the rows of signing_key to end all sessions and start with a new key"
        ) from None
    return SigningKey(kid, Ed25519PrivateKey.from_private_bytes(raw))


async def ensure_signing_key(conn: AsyncConnection, secret: str) -> None:
    """Make the first key if there is none, else check that the secret decrypts the stored keys."""
    known = await conn.exec_driver_sql("select kid, sealed from signing_key where retired_at is null")
    rows: Sequence[Any] = known.all()
    for kid, sealed in rows:
        unseal(kid, sealed, secret)
    if not rows:
        await _add(conn, SigningKey.generate(), secret)


async def rotate_signing_key(conn: AsyncConnection, secret: str) -> str:
    """Add a new key, return its id, and retire the current keys after ``RETIREMENT``. Nobody is logged out."""
    await conn.exec_driver_sql(
        "update signing_key set retired_at = $1 where retired_at is null", (clock.now() + RETIREMENT,)
    )
    key = SigningKey.generate()
    await _add(conn, key, secret)
    return key.kid


async def forget_retired_keys(conn: AsyncConnection, now: datetime) -> None:
    """Delete retired keys, so that they cannot leak. No valid token was signed with them."""
    await conn.exec_driver_sql("delete from signing_key where retired_at < $1", (now,))


async def _add(conn: AsyncConnection, key: SigningKey, secret: str) -> None:
    now, jwk = clock.now(), orjson.dumps(key.jwk).decode()
    await conn.exec_driver_sql(
        "insert into signing_key (kid, sealed, jwk, created_at) values ($1, $2, $3::text::jsonb, $4)",
        (key.kid, seal(key, secret), jwk, now),
    )
    # Identity verifies tokens with the same table as every service. Inserting the key here saves the fetch.
    await conn.exec_driver_sql(
        "insert into jwks (kid, key, fetched_at) values ($1, $2::text::jsonb, $3)", (key.kid, jwk, now)
    )


@dataclass(slots=True)
class _Held:
    signing: SigningKey
    published: list[dict[str, Any]]
    read_at: float
    created_at: datetime


AGE = observed("crm.identity.signing_key_age", "Age of the key that signs access tokens.", unit="s")


class KeyRing:
    """The keys as one process holds them. They are read again every quarter of the introduction time of a new key."""

    latest: ClassVar["KeyRing | None"] = None
    """The key ring of this process."""

    def __init__(self, db: Database, secret: str, introduction: timedelta = INTRODUCTION) -> None:
        self._db, self._secret = db, secret
        self._introduction = introduction
        self._held: _Held | None = None
        KeyRing.latest = self

    async def signing(self) -> SigningKey:
        """Return the key to sign with now."""
        return (await self._current()).signing

    async def published(self) -> list[dict[str, Any]]:
        """Return the public keys for verification, as JWKs."""
        return (await self._current()).published

    async def _current(self) -> _Held:
        if self._held is None or (clock.monotonic() - self._held.read_at > self._introduction.total_seconds() / 4):
            self._held = await self._read(clock.now())
        return self._held

    async def _read(self, now: datetime) -> _Held:
        async with self._db.autocommit() as conn:
            found = await conn.exec_driver_sql(
                "select kid, sealed, jwk::text, created_at from signing_key"
                " where retired_at is null or retired_at > $1 order by created_at",
                (now,),
            )
            rows: Sequence[Any] = found.all()
        if not rows:
            raise DomainError("unavailable", "There is no signing key. Ask an operator to migrate the database.")
        introduced = [row for row in rows if row[3] <= now - self._introduction] or rows[:1]
        kid, sealed, _, created_at = introduced[-1]
        published = [orjson.loads(row[2]) for row in rows]
        return _Held(unseal(kid, sealed, self._secret), published, clock.monotonic(), created_at)

    def age(self) -> Readings:
        """Return the age of the signing key in seconds, for the metric; empty before the keys were read."""
        return [] if self._held is None else [((), (clock.now() - self._held.created_at).total_seconds())]


AGE.add(lambda: KeyRing.latest.age() if KeyRing.latest else [])
