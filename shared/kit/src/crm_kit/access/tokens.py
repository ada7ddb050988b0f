"""Access tokens: verified here, in every service and in the gateway, against identity's published keys.

The algorithm is never taken from the token (RFC 8725 §3.1). A verified token is remembered by its hash until it
expires, so a request with a known token costs a hash and two look-ups; a revocation is checked every time.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp
import jwt
import orjson
import structlog
from jwt.types import Options
from sqlalchemy.exc import SQLAlchemyError

from crm_contracts.access import AUDIENCE, Claims, ClaimsError
from crm_contracts.sentences import Sentence, said
from crm_kit import clock
from crm_kit.access.directory import REVOCATION_LIFE, Directory
from crm_kit.access.privileges import Principal
from crm_kit.backoff import Backoff
from crm_kit.errors import DomainError
from crm_kit.lookout import Lookout
from crm_kit.store.database import Database

ISSUER: Final = "/crm/identity"
ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  # a media type, not a secret
"""RFC 9068 §2.1: an access token, so that no other JWT we may ever sign can be used as one."""

LEEWAY_SECONDS: Final = 5.0
FETCH_EVERY_SECONDS: Final = 3600.0
FETCH_AT_MOST_EVERY_SECONDS: Final = 5.0
FIRST_FETCH_EVERY_SECONDS: Final = 0.5
FIRST_FETCH_LATEST_SECONDS: Final = 2.0
"""While there is no key at all: the whole suite starts at once, and identity is not always the first to answer."""
FIRST_WAIT_SECONDS: Final = 0.3

FETCH_TIMEOUT_SECONDS: Final = 3.0
TOKENS_HELD: Final = 10_000
MAX_TOKEN_BYTES: Final = 8192
FOREIGN_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})
"""Headers that would let a token bring or name its own key, or change how it is read."""

_OPTIONS: Final[Options] = {
    "require": ["sub", "kind", "teams", "bu", "prv", "iat", "exp", "aud", "iss", "jti"],
    "strict_aud": True,
    # Judged in ``_claims`` by the process's own clock, which tests may shift.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}

KeySource = Callable[[], Awaitable[Sequence[dict[str, Any]]]]
"""Fetches the current set of public keys as JWKs; raises OSError, aiohttp.ClientError or ValueError when it cannot."""

log = structlog.get_logger(__name__)


class InvalidToken(DomainError):
    """401: the token is missing, malformed, forged, expired or superseded; the slug says which."""


def bearer(authorization: str | None) -> str:
    """The token of an ``Authorization: Bearer`` header (RFC 6750 §2.1), or 401 ``token-missing``."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("token-missing", "This needs an access token: Authorization: Bearer <token>.")
    return token


def http_keys(url: str) -> KeySource:
    """Keys from ``CRM_JWKS_URL``."""

    async def fetch() -> Sequence[dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False, raise_for_status=True) as response,
        ):
            document = orjson.loads(await response.read())
        keys = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise ValueError("not a JWK set")
        return [key for key in keys if isinstance(key, dict)]

    return fetch


class TokenVerifier:
    """``start`` before the first request. Answers with identity down, from the last keys it saw."""

    def __init__(self, directory: Directory, db: Database, fetch: KeySource) -> None:
        self._directory, self._db, self._fetch = directory, db, fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._verified: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._fetched_at = float("-inf")
        self.confirmed_at: float | None = None
        """When identity last told its keys."""
        self._fetching = asyncio.Lock()
        backoff = Backoff(FIRST_FETCH_EVERY_SECONDS, FIRST_FETCH_LATEST_SECONDS)
        self._lookout = Lookout("jwks", self._look, every=FETCH_EVERY_SECONDS, backoff=backoff)

    async def start(self) -> None:
        """Take the stored keys, then try to fetch; with neither, tokens are refused until a fetch succeeds.

        That one goes on in the background when it takes longer: identity asks itself, and answers only after this.
        """
        with suppress(SQLAlchemyError, OSError):
            await self._recall()
        await self._lookout.start(FIRST_WAIT_SECONDS)

    async def stop(self) -> None:
        """Stop fetching."""
        await self._lookout.stop()

    @property
    def alive(self) -> bool:
        """Whether the hourly fetch is running."""
        return self._lookout.alive

    @property
    def ready(self) -> bool:
        """Whether there is any key to verify with."""
        return bool(self._keys)

    def cached(self, token: str) -> Principal | None:
        """The caller of a token verified before that is still good; anything else is for ``verify`` to judge."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._verified.get(digest)
        if known is None:
            return None
        principal, expires = known
        if expires <= clock.now().timestamp() or self._directory.superseded(
            principal.id, principal.issued_at, principal.sequence
        ):
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return principal

    async def verify(self, token: str) -> Principal:
        """The caller, or 401 ``token-invalid``, ``token-expired`` or ``token-superseded``."""
        known = self.cached(token)
        if known is not None:
            return known
        key = await self._key(_header(token))
        claims = _claims(token, key)
        if self._directory.superseded(claims.sub, claims.iat, claims.seq):
            raise InvalidToken(
                "token-superseded",
                "Your rights, your password or the state of your account has changed since this token was issued. Get a new one"
                " with the refresh token; where that is refused, log in again.",
            )
        named = self._directory.named(claims.sub)
        principal = Principal(
            id=claims.sub,
            kind=claims.kind,
            unit=claims.bu,
            teams=claims.teams,
            privileges=claims.prv,
            name=named.name if named else None,
            issued_at=claims.iat,
            sequence=claims.seq,
        )
        self._verified[hashlib.sha256(token.encode()).digest()] = principal, claims.exp
        if len(self._verified) > TOKENS_HELD:
            self._verified.popitem(last=False)
        return principal

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            await self._refresh()
        key = self._keys.get(kid)
        if key is None:
            raise _invalid(said("it is signed with an unknown key"))
        return key

    async def _refresh(self) -> None:
        asked = clock.monotonic()
        async with self._fetching:
            # Whoever waited for another's fetch is served by it; strangers' key ids never cause more than one in 5 s.
            if self._fetched_at > asked - (FETCH_AT_MOST_EVERY_SECONDS if self._keys else FIRST_FETCH_EVERY_SECONDS):
                return
            self._fetched_at = clock.monotonic()
            try:
                fetched = await self._fetch()
            except (OSError, aiohttp.ClientError, TimeoutError, ValueError, SQLAlchemyError) as error:
                log.warning("keys not fetched; the last good set stays", error=type(error).__name__)
                return
            keys = _usable(fetched)
            if not keys:
                log.warning("keys not fetched; the set has no usable key")
                return
            changed = keys.keys() != self._keys.keys()
            self._keys, self.confirmed_at = keys, clock.monotonic()
            if changed:
                # A withdrawn key must not live on in what was verified with it.
                self._verified.clear()
                await self._store([key for key in fetched if key.get("kid") in keys])

    async def _look(self) -> bool:
        await self._refresh()
        return bool(self._keys)

    async def _recall(self) -> None:
        async with self._db.autocommit() as conn:
            rows = await conn.exec_driver_sql("select key::text from jwks")
            self._keys = _usable([orjson.loads(row[0]) for row in rows])

    async def _store(self, keys: list[dict[str, Any]]) -> None:
        try:
            async with self._db.autocommit() as conn:
                await conn.exec_driver_sql(
                    "with news as (select k ->> 'kid' as kid, k as key from jsonb_array_elements($1::text::jsonb) k),"
                    " gone as (delete from jwks where kid not in (select kid from news))"
                    " insert into jwks (kid, key, fetched_at) select kid, key, $2 from news"
                    " on conflict (kid) do update set key = excluded.key, fetched_at = excluded.fetched_at",
                    (orjson.dumps(keys).decode(), clock.now()),
                )
        except (SQLAlchemyError, OSError) as error:
            log.warning("keys not stored; a restart will need identity", error=type(error).__name__)


def _invalid(reason: Sentence) -> InvalidToken:
    return InvalidToken("token-invalid", said("The access token is not valid: {reason}.", reason=reason))


def _usable(keys: Sequence[dict[str, Any]]) -> dict[str, jwt.PyJWK]:
    usable = {}
    for key in keys:
        kid = key.get("kid")
        if (
            isinstance(kid, str)
            and (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519")
            and key.get("use", "sig") == "sig"
        ):
            with suppress(jwt.PyJWTError):
                usable[kid] = jwt.PyJWK({**key, "alg": ALGORITHM}, algorithm=ALGORITHM)
    return usable


def _header(token: str) -> str:
    """The key id of a token whose header is one of ours."""
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise _invalid(said("it is not one of ours"))
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _invalid(said("it cannot be read")) from None
    if header.get("alg") != ALGORITHM or str(header.get("typ")).lower() != TOKEN_TYPE:
        raise _invalid(said("its algorithm or type is not ours"))
    if not FOREIGN_HEADERS.isdisjoint(header):
        raise _invalid(said("its header names a key or an extension of its own"))
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise _invalid(said("it names no key"))
    return kid


def _claims(token: str, key: jwt.PyJWK) -> Claims:
    try:
        payload = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS)
        claims = Claims.of(payload)
    except (jwt.PyJWTError, ClaimsError, RecursionError):
        raise _invalid(said("its signature or a claim is wrong")) from None
    now = clock.now().timestamp()
    not_before = payload.get("nbf", claims.iat)
    if isinstance(not_before, bool) or not isinstance(not_before, int | float):
        raise _invalid(said("a claim is wrong"))
    if max(claims.iat, not_before) > now + LEEWAY_SECONDS:
        raise _invalid(said("it is not valid yet"))
    if claims.exp <= now:
        raise InvalidToken("token-expired", "The access token has expired; refresh it.")
    if claims.exp - claims.iat >= REVOCATION_LIFE.total_seconds():
        # A longer life would outlast our memory of a revocation.
        raise _invalid(said("its life is too long"))
    return claims
