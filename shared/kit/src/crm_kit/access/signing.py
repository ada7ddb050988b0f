"""Creates access tokens, the counterpart of ``crm_kit.access.tokens``: for identity, and for tests in its place."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from crm_kit.access.tokens import ALGORITHM, TOKEN_TYPE


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key and the id under which its public half is published."""

    kid: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> Self:
        """A new key with a new id."""
        return cls(secrets.token_urlsafe(12), Ed25519PrivateKey.generate())

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as RFC 8037 writes it."""
        public = orjson.loads(OKPAlgorithm.to_jwk(self.private.public_key()))
        return {**public, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def sign(self, payload: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """The token with this payload. ``header`` is for tests that forge one."""
        headers = {"kid": self.kid, "typ": TOKEN_TYPE, **(header or {})}
        return jwt.encode(dict(payload), self.private, ALGORITHM, headers=headers)
