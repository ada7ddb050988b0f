"""Identity's part in the tests of tokens, and its enemies'."""

import secrets
from uuid import UUID, uuid4

from crm_kit import clock
from crm_kit.access.signing import SigningKey
from crm_kit.access.tokens import ISSUER


class Signer:
    """Issues tokens as identity does, or not quite as it does."""

    def __init__(self, key: SigningKey | None = None) -> None:
        self.key = key or SigningKey.generate()

    def other(self, *, kid: str | None = None) -> "Signer":
        """A stranger with another key, maybe under a given key id."""
        stranger = SigningKey.generate()
        return Signer(SigningKey(kid or stranger.kid, stranger.private))

    def renamed(self, kid: str) -> "Signer":
        """The same key under another id."""
        return Signer(SigningKey(kid, self.key.private))

    def claims(self, **changed: object) -> dict[str, object]:
        """A good payload; None leaves a claim out."""
        now = clock.now().timestamp()
        good: dict[str, object] = {
            "sub": str(uuid4()),
            "kind": "user",
            "teams": [str(UUID(int=7))],
            "bu": str(UUID(int=9)),
            "prv": {"lead": "44321"},
            "iat": now,
            "exp": int(now) + 600,
            "aud": "crm",
            "iss": ISSUER,
            "jti": secrets.token_urlsafe(8),
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, header: dict[str, object] | None = None, **claims: object) -> str:
        return self.key.sign(self.claims(**claims), header)
