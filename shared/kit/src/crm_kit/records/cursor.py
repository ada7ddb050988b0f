"""Opaque page cursors. A cursor is signed, and bound to its list, its sort order, its filter and its caller."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson

from crm_kit.errors import DomainError
from crm_kit.store.presenter import to_json

SIGNATURE_BYTES = 16


class Cursors:
    """Signs and reads cursors with a key derived from ``CRM_SECRET``, so that any replica reads what another wrote."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"crm cursor\0" + secret.encode()).digest()

    def write(self, position: list[Any], scope: bytes) -> str:
        """Return the cursor of a position in the list that ``scope`` identifies."""
        payload = to_json(position)
        return urlsafe_b64encode(self._sign(payload, scope) + payload).rstrip(b"=").decode()

    def read(self, cursor: str, scope: bytes) -> list[Any]:
        """Return the position. Raises 400 ``invalid-cursor`` if the cursor was changed or has another scope."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise _invalid() from None
        signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(payload, scope)):
            raise _invalid()
        position: list[Any] = orjson.loads(payload)
        return position

    def _sign(self, payload: bytes, scope: bytes) -> bytes:
        return hmac.digest(self._key, scope + b"\0" + payload, "sha256")[:SIGNATURE_BYTES]


def _invalid() -> DomainError:
    return DomainError("invalid-cursor", "The cursor does not belong to this list. Start again without 'after'.")
