"""Passwords: argon2id in a thread of its own, and as much work for an unknown account as for a known one."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import StringConstraints

MIN_LENGTH = 12
MAX_LENGTH = 256

NewPassword = Annotated[str, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
"""12 to 256 characters, any of them (NIST SP 800-63B: length counts, composition rules do not)."""

# OWASP's second choice (19 MiB, 2 passes): 25 ms here, and a burst of log-ins does not fill the memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Hashing holds a core, and log-ins must not take them all from the other requests.
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


def _normal(password: str) -> bytes:
    """The same characters give the same bytes on every keyboard (RFC 8265 §4.2: NFC)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_bytes(16))


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        _HASHER.verify(password_hash or _nobodys_hash(), _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


async def warm_up() -> None:
    """Make the hash that stands in for unknown accounts, before the first log-in could be timed by it."""
    await asyncio.get_running_loop().run_in_executor(_THREADS, _nobodys_hash)


async def hash_password(password: str) -> str:
    """The argon2id hash in PHC format."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, _normal(password))


async def is_password(password: str, password_hash: str | None) -> bool:
    """Whether this is the password; with no hash the same work is done, and the answer is no."""
    if len(password) > MAX_LENGTH:
        return False
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, password, password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)
