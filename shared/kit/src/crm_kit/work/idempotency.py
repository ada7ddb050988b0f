"""Idempotency-Key: an answer is stored in the transaction of its effect, so that a retry cannot repeat the effect.

Source: the IETF draft *The Idempotency-Key HTTP Header Field*.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    Column,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.errors import DomainError
from crm_kit.store.chores import delete_some
from crm_kit.store.columns import Timestamp

KEY = re.compile(r"[!-~]{1,255}")
LOCK_NOT_AVAILABLE = "55P03"


def idempotency_table(metadata: MetaData) -> Table:
    """Add the table of stored answers. They are kept for ``CRM_IDEMPOTENCY_HOURS``."""
    return Table(
        "idempotency",
        metadata,
        Column("principal", Uuid, nullable=False),
        Column("method", String(8), nullable=False),
        Column("path", Text, nullable=False),
        Column("key", String(255), nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("created_at", Timestamp(), nullable=False),
        Column("status", SmallInteger),
        Column("headers", JSON),
        Column("body", LargeBinary),
        PrimaryKeyConstraint("principal", "method", "path", "key"),
        Index(None, "created_at"),
    )


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer of a command, complete enough to repeat it byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes


class Replayed(Exception):
    """Carries the stored answer of a command that was executed before. This is not an error."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("replayed")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Principal, method, path, key, and the SHA-256 hash of the request's body."""

    principal: UUID
    method: str
    path: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, principal: UUID, method: str, path: str, key: str, body: bytes) -> "IdempotencyKey":
        """Make a key. Raises 400 ``invalid-idempotency-key`` unless it has 1 to 255 visible ASCII characters."""
        if not KEY.fullmatch(key):
            message = "Send an Idempotency-Key of 1 to 255 visible ASCII characters."
            raise DomainError("invalid-idempotency-key", message)
        return cls(principal, method, path, key, hashlib.sha256(body).digest())

    async def claim(self, conn: AsyncConnection, now: datetime) -> None:
        """Insert the key, or raise ``Replayed`` with the answer of its first use.

        A concurrent request with the same key waits for the first one, for at most ``lock_timeout``. Then it raises 409
        ``in-progress``. Raises ``idempotency-key-reused`` if the first request had another body.
        """
        try:
            claimed = await conn.exec_driver_sql(
                "insert into idempotency (principal, method, path, key, fingerprint, created_at)"
                " values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning 1",
                (self.principal, self.method, self.path, self.key, self.fingerprint, now),
            )
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise DomainError(
                    "in-progress", "A request with this Idempotency-Key is still running. Try again later."
                ) from error
            raise
        if claimed.first() is None:
            await self._replay(conn)

    async def _replay(self, conn: AsyncConnection) -> None:
        row: Any = (
            await conn.exec_driver_sql(
                "select fingerprint, status, headers::text, body from idempotency"
                " where principal = $1 and method = $2 and path = $3 and key = $4",
                (self.principal, self.method, self.path, self.key),
            )
        ).one()
        if row[0] != self.fingerprint:
            raise DomainError(
                "idempotency-key-reused", "Send a new Idempotency-Key: this one was used with another body."
            )
        raise Replayed(StoredAnswer(row[1], orjson.loads(row[2]), row[3]))

    def stored(self, answer: StoredAnswer) -> tuple[Any, ...]:
        """Return the parameters of ``KEEP_ANSWER``."""
        headers = orjson.dumps(answer.headers).decode()
        return (self.principal, self.method, self.path, self.key, answer.status, headers, answer.body)


KEEP_ANSWER = (
    "update idempotency set status = ${4}::smallint, headers = ${5}::text::json, body = ${6}::bytea"
    " where principal = ${0}::uuid and method = ${1}::text and path = ${2}::text and key = ${3}::text returning 1"
)


async def forget_answers(conn: AsyncConnection, before: datetime) -> int:
    """Delete some of the answers from before ``before``; returns the number."""
    return await delete_some(conn, "idempotency", "created_at < $1", before)
