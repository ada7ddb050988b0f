"""The internal tables of identity: hashes of secrets, sessions, encrypted keys, counted attempts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_identity.db import Base
from crm_kit.store.refers import reference


class Credential(Base):
    """A user's password as an argon2id hash. A user without a password cannot log in."""

    __tablename__ = "credential"

    user_id: Mapped[UUID] = reference("user", table="user_account", ondelete="cascade", primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]


class ClientSecret(Base):
    """An API client's secret as an argon2id hash."""

    __tablename__ = "client_secret"

    client_id: Mapped[UUID] = reference("api_client", ondelete="cascade", primary_key=True)
    secret_hash: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]


class RefreshToken(Base):
    """A refresh token. Each refresh invalidates it and makes the next one of the same family.

    A second use means that the token was stolen, so it ends the whole family (RFC 9700 §4.14.2).
    """

    __tablename__ = "refresh_token"
    __table_args__ = (
        Index(
            "ix_refresh_token_live",
            "user_id",
            "family_id",
            postgresql_where=text("spent_at is null and revoked_at is null"),
        ),
    )

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family_id: Mapped[UUID] = mapped_column(index=True)
    user_id: Mapped[UUID] = reference("user", table="user_account", ondelete="cascade", index=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    spent_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    began_at: Mapped[datetime | None]
    """When the session began; None for tokens of earlier releases."""
    address: Mapped[str | None] = mapped_column(String(45))
    """The network address of the last log-in or refresh."""
    user_agent: Mapped[str | None] = mapped_column(String(256))
    """The program of the last log-in or refresh, in its own words."""


class SealedKey(Base):
    """A signing key. The private half is encrypted with a key derived from CRM_SECRET."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(String(40), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class AttemptBucket(Base):
    """The token requests that an account or an address can still make: a bucket that is refilled at an even rate."""

    __tablename__ = "attempt_bucket"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    remaining: Mapped[float] = mapped_column(Double)
    allowed: Mapped[bool]
    at: Mapped[datetime] = mapped_column(index=True)


class KnownAddress(Base):
    """A hash of a log-in name and an address from which its owner has logged in."""

    __tablename__ = "known_address"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    seen_at: Mapped[datetime]


class FailedLogin(Base):
    """Successive failed log-ins under one log-in name, whether or not it exists, and the end of the lock."""

    __tablename__ = "failed_login"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    failures: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    locked_until: Mapped[datetime | None]
