"""The check for passwords that are too easy to guess (NIST SP 800-63B-4 §3.1.1.2: a blocklist, and words of the
context).

zxcvbn knows common passwords, names and words, alone and joined, with appended digits and swapped letters, and
repetitions, sequences and keyboard patterns. Its lists take 15 MB, so a process reads them when it sets its first
password.
"""

import asyncio
import re
from collections.abc import Iterable

from crm_identity.auth.passwords import THREADS, normal
from crm_kit.errors import InvalidValue

JUDGED = 64
"""Number of characters that are checked. The time grows with the square of the length, and few passwords of 64
characters are easy to guess."""

FEWEST_GUESSES = 10**8
"""zxcvbn's score 3, "safely unguessable": also for an attacker who has the hashes for some time."""

FEWEST_OWN = 6
"""Number of letters and digits that a password needs besides the words of its context."""

PRODUCT = ("liaison", "crm")


async def refuse_guessable(pointer: str, password: str, context: Iterable[str | None]) -> None:
    """Raise 422 ``guessable-password``.

    ``context`` lists what attackers try first: names, addresses, the organisation.
    """
    texts = [normal(text).casefold() for text in (*PRODUCT, *context) if text]
    words = [*texts, *(word for text in texts for word in re.split(r"[\W_]+", text) if len(word) > 2)]
    loop = asyncio.get_running_loop()
    if await loop.run_in_executor(THREADS, _guesses, password, words) < FEWEST_GUESSES:
        raise InvalidValue(
            pointer,
            "guessable-password",
            "This password is easy to guess: it is a known one, or it consists of names, repetitions or adjacent keys."
            " Choose another, such as four unrelated words.",
        )


def _guesses(password: str, words: list[str]) -> float:
    # Imported here because of the memory that its lists take.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it ships no types

    typed = normal(password)
    rest = re.sub("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), "", typed.casefold())
    if len(re.sub(r"[\W_]+", "", rest)) < FEWEST_OWN and rest != typed.casefold():
        return 0
    return float(zxcvbn(typed[:JUDGED], user_inputs=words)["guesses"])
