"""The grants of the token endpoint (RFC 6749 §4.3, §4.4 and §6)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.auth.issue import Rights, access_token, hold_rights, key_ring, rights_of, rights_of_client
from crm_identity.auth.lockout import ANYWHERE, count_failure, forget_failures, is_known, know, refuse_locked
from crm_identity.auth.passwords import hash_password, is_outdated, is_password
from crm_identity.auth.sessions import From, Link, keep_password, open_session, spend
from crm_identity.auth.throttle import account_here_key, account_key, address_key, client_key, take
from crm_identity.settings import settings_of
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.identifiers import ASCII_FOLD, fold
from crm_kit.process.runtime import Runtime

CREDENTIAL = (
    "select u.id, c.password_hash from user_account u join credential c on c.user_id = u.id"  # noqa: S608  # a constant
    f" where {ASCII_FOLD.format('u.email')} = $1 and u.status = 'active'"
)

SECRET = (
    "select s.secret_hash from api_client c join client_secret s on s.client_id = c.id"  # noqa: S105  # SQL
    " where c.id = $1 and c.status = 'active'"
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The result of a grant: a short-lived access token and, for users, a refresh token that can be used once."""

    access_token: str
    expires_in: int
    link: Link | None = None


class Refused(DomainError):
    """400 with an error code of RFC 6749 §5.2."""

    def __init__(self, slug: str, error: str, description: str) -> None:
        super().__init__(slug, description, members={"error": error, "error_description": description})


def invalid_grant(description: str) -> Refused:
    """The credentials or the refresh token are not valid."""
    return Refused("invalid-grant", "invalid_grant", description)


def invalid_client() -> Refused:
    """The client is unknown or inactive, or the secret is wrong. The answer does not tell which."""
    return Refused(
        "invalid-client",
        "invalid_client",
        "The client is unknown or inactive, or its secret is wrong. Check client_id and client_secret.",
    )


def invalid_request(description: str) -> Refused:
    """A parameter is missing or malformed."""
    return Refused("invalid-request", "invalid_request", description)


async def by_password(runtime: Runtime, whence: From, username: str, password: str) -> Tokens:
    """Log in.

    An unknown user, a disabled user and a wrong password cause the same answer, the same response time and the same
    lock-out.
    """
    settings = settings_of(runtime)
    account, here = account_key(username), account_here_key(username, whence.address)
    limits = {here: settings.tokens_per_account, address_key(whence.address): settings.tokens_per_address}
    async with runtime.db.autocommit() as conn:
        await take(conn, limits, clock.now())
        await refuse_locked(conn, here, clock.now())
        known = await is_known(conn, here)
        if not known:
            # The owner of the name has never logged in from this address, so many addresses together may be guessing.
            await take(conn, {account: settings.tokens_per_account * ANYWHERE}, clock.now())
            await refuse_locked(conn, account, clock.now())
        user_id, password_hash = await _credential(conn, fold(username))
    # No connection is held while hashing, which takes longer than everything else together.
    good = await is_password(password, password_hash)
    if user_id is None or password_hash is None or not good:
        async with runtime.db.autocommit() as conn:
            await count_failure(conn, here, settings, clock.now())
            if not known:
                await count_failure(conn, account, settings, clock.now(), times=ANYWHERE)
        raise invalid_grant("The user name or the password is wrong.")
    renewed = await hash_password(password) if is_outdated(password_hash) else None
    async with runtime.db.begin() as conn:
        await hold_rights(conn)
        if not await _is_current(conn, user_id, password_hash):
            raise invalid_grant("The user name or the password is wrong.")
        if renewed is not None:
            await keep_password(conn, user_id, renewed, clock.now())
        await forget_failures(conn, here)
        await know(conn, here, clock.now())
        link = await open_session(conn, user_id, clock.now(), timedelta(days=settings.session_days), whence)
        return await _issue(runtime, await rights_of(conn, user_id), link)


async def by_refresh(runtime: Runtime, whence: From, refresh_token: str) -> Tokens:
    """Continue a session with the current rights. The refresh token can be used once; a second use ends the session.

    Only refused tokens count against the address. Hundreds of people behind one address refresh every few minutes, and nobody
    guesses 256 random bits.
    """
    async with runtime.db.begin() as conn:
        await hold_rights(conn)
        link = await spend(conn, refresh_token, clock.now(), whence)
        tokens = None if link is None else await _issue(runtime, await rights_of(conn, link.user_id), link)
    if tokens is None:
        limit = {address_key(whence.address): settings_of(runtime).tokens_per_address}
        async with runtime.db.autocommit() as conn:
            await take(conn, limit, clock.now())
        # Raised after the commit, so that the end of a stolen token's family is stored.
        raise invalid_grant("The refresh token is not valid, has expired or was used before; log in again.")
    return tokens


async def by_client(runtime: Runtime, address: str, client_id: str, secret: str) -> Tokens:
    """Issue a token to an API client. It has no session and sends its secret again (RFC 6749 §4.4.3).

    There is no lock-out: nobody can guess 256 random bits, and a lock would let strangers stop an integration.
    """
    settings = settings_of(runtime)
    known = _uuid(client_id)
    client = client_key(str(known or client_id))
    limits = {client: settings.tokens_per_account, address_key(address): settings.tokens_per_address}
    async with runtime.db.autocommit() as conn:
        await take(conn, limits, clock.now())
        secret_hash = None if known is None else await _secret_hash(conn, known)
    if not await is_password(secret, secret_hash) or known is None:
        raise invalid_client()
    async with runtime.db.begin() as conn:
        await hold_rights(conn)
        rights = await rights_of_client(conn, known)
        if rights is None or await _secret_hash(conn, known) != secret_hash:
            raise invalid_client()
        return await _issue(runtime, rights, None)


async def _issue(runtime: Runtime, rights: Rights | None, link: Link | None) -> Tokens:
    if rights is None:
        raise invalid_grant("The account is disabled.")
    seconds = settings_of(runtime).access_token_seconds
    key = await key_ring(runtime).signing()
    return Tokens(access_token(key, rights, seconds), seconds, link)


async def _credential(conn: AsyncConnection, username: str) -> tuple[UUID | None, str | None]:
    """Return the active user with this log-in name and the hash of the password; otherwise None twice."""
    # No user has such a name, and PostgreSQL accepts no zero character.
    if not username.isascii() or "\x00" in username:
        return None, None
    row: Any = (await conn.exec_driver_sql(CREDENTIAL, (username,))).one_or_none()
    return (row[0], row[1]) if row else (None, None)


async def _secret_hash(conn: AsyncConnection, client_id: UUID) -> str | None:
    """Return the hash of an active client's secret."""
    found: str | None = (await conn.exec_driver_sql(SECRET, (client_id,))).scalar_one_or_none()
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _is_current(conn: AsyncConnection, user_id: UUID, password_hash: str) -> bool:
    """Whether the checked password is still current. The row is locked until the transaction ends."""
    found = await conn.exec_driver_sql(
        "select 1 from credential where user_id = $1 and password_hash = $2 for update", (user_id, password_hash)
    )
    return found.one_or_none() is not None
