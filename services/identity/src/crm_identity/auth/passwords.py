"""Passwords: argon2id in threads of its own, with equal work for unknown and known accounts."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

MIN_LENGTH = 12
MAX_LENGTH = 256


def normal(password: str) -> str:
    """Return the NFKC form, so that a password is the same from every keyboard (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _acceptable(password: str) -> str:
    length = len(normal(password))
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise PydanticCustomError("password-length", "Use 12 to 256 characters.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        raise PydanticCustomError("password-characters", "Leave out control characters.")
    return password


NewPassword = Annotated[
    str, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH), AfterValidator(_acceptable)
]
"""12 to 256 characters except control characters (NIST SP 800-63B: the length counts, composition rules do not)."""

# OWASP's second choice (19 MiB, 2 passes): 25 ms here, and a burst of log-ins does not exhaust the memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Hashing keeps a core busy. The limit leaves cores for the other requests.
THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


def _bytes(password: str, form: Literal["NFC", "NFKC"] = "NFKC") -> bytes:
    return unicodedata.normalize(form, password).encode("utf-8", "surrogatepass")


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_bytes(16))


def _verify(password: str, password_hash: str | None) -> bool:
    # Hashes of earlier releases used NFC. Where the two forms differ, both are tried, also without a hash.
    known = password_hash or _nobodys_hash()
    matches = [_matches(known, form) for form in dict.fromkeys((_bytes(password), _bytes(password, "NFC")))]
    return password_hash is not None and any(matches)


def _matches(password_hash: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


async def warm_up() -> None:
    """Make the hash that stands in for unknown accounts, so that the time of the first log-in reveals nothing."""
    await asyncio.get_running_loop().run_in_executor(THREADS, _nobodys_hash)


async def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC format."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, _HASHER.hash, _bytes(password))


async def is_password(password: str, password_hash: str | None) -> bool:
    """Whether this is the password. Without a hash the answer is no, after the same work."""
    if len(password) > MAX_LENGTH:
        return False
    return await asyncio.get_running_loop().run_in_executor(THREADS, _verify, password, password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with weaker parameters than the current ones."""
    return _HASHER.check_needs_rehash(password_hash)
