"""Secrets in the database, encrypted with a key derived from CRM_SECRET: AES-256-GCM, and HKDF (RFC 5869) by purpose."""

import os
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES: Final = 12


class WrongSecret(RuntimeError):
    """The stored secret was encrypted with another CRM_SECRET, or belongs to another record."""


def seal(content: bytes, bound: bytes, secret: str, purpose: str) -> bytes:
    """Encrypt the content. It can be read only with the same secret and purpose, and for the record ``bound``."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(secret, purpose).encrypt(nonce, content, bound)


def unseal(sealed: bytes, bound: bytes, secret: str, purpose: str) -> bytes:
    """Decrypt what ``seal`` returned. Raises ``WrongSecret``."""
    try:
        return _cipher(secret, purpose).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        raise WrongSecret("CRM_SECRET has changed since this was stored") from None


@cache
def _cipher(secret: str, purpose: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=f"liaison {purpose}".encode()).derive(secret.encode()))
