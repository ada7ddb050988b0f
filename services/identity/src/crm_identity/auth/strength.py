"""Which new passwords are too easy to guess (NIST SP 800-63B-4 §3.1.1.2: a blocklist, and words of the context).

zxcvbn knows the passwords, names and words that people use most, alone and joined, with digits behind them and letters
swapped, and what is repeated, counted up or lies side by side on a keyboard. Its lists take 15 MB, so they are read
when the first password is set, in the processes that set one.
"""

import asyncio
import re
from collections.abc import Iterable

from crm_identity.auth.passwords import THREADS, normal
from crm_kit.errors import InvalidValue

JUDGED = 64
"""Characters that are looked at: comparing takes longer with the square of them, and 64 that are guessed easily are rare."""

FEWEST_GUESSES = 10**8
"""zxcvbn's score 3: "safely unguessable", also for somebody who has the hashes for a while."""

FEWEST_OWN = 6
"""Letters and digits that a password has beside the words of its context."""

PRODUCT = ("liaison", "crm")


async def refuse_guessable(pointer: str, password: str, context: Iterable[str | None]) -> None:
    """422 ``guessable-password``. ``context`` is what an attacker tries first: names, addresses, the organisation."""
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
    # Read here only: see above.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it ships no types

    typed = normal(password)
    rest = re.sub("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), "", typed.casefold())
    if len(re.sub(r"[\W_]+", "", rest)) < FEWEST_OWN and rest != typed.casefold():
        return 0
    return float(zxcvbn(typed[:JUDGED], user_inputs=words)["guesses"])
