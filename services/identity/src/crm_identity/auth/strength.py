"""The check for passwords that are too easy to guess (NIST SP 800-63B-4 §3.1.1.2: a blocklist, and words of the
context).

zxcvbn knows common passwords, names and words, alone and joined, with appended digits and swapped letters, and
repetitions, sequences and keyboard patterns. Its lists take 15 MB, so a process reads them when it sets a password,
and forgets them a minute after the last one.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from crm_identity.auth.passwords import THREADS, normal
from crm_kit.errors import InvalidValue
from crm_kit.process.memory import HOUSEKEEPER

JUDGED = 64
"""Number of characters that are checked. The time grows with the square of the length, and few passwords of 64
characters are easy to guess."""

FEWEST_GUESSES = 10**8
"""zxcvbn's score 3, "safely unguessable": also for an attacker who has the hashes for some time."""

FEWEST_OWN = 6
"""Number of letters and digits that a password needs besides the words of its context."""

PRODUCT = ("liaison", "crm")

KEPT_SECONDS = 60.0
"""Seconds after the last check for which the lists are kept. Reading them takes 0.3 s."""


class _Lists:
    """zxcvbn and its lists, as long as they are needed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._end: asyncio.TimerHandle | None = None

    def read(self) -> Callable[..., Any]:
        """Return zxcvbn. Runs in a thread."""
        with self._lock:
            from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it ships no types

            return zxcvbn  # type: ignore[no-any-return]

    def keep(self) -> None:
        """Keep the lists for a while from now on."""
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget)

    def _forget(self) -> None:
        asyncio.get_running_loop().run_in_executor(THREADS, self._drop).add_done_callback(
            lambda _: HOUSEKEEPER.tidy_soon()
        )

    def _drop(self) -> None:
        with self._lock:
            # A check that runs meanwhile has the functions, and with them the lists.
            for name in [name for name in sys.modules if name.partition(".")[0] == "zxcvbn"]:
                del sys.modules[name]


_LISTS = _Lists()


async def refuse_guessable(pointer: str, password: str, context: Iterable[str | None]) -> None:
    """Raise 422 ``guessable-password``.

    ``context`` lists what attackers try first: names, addresses, the organisation.
    """
    texts = [normal(text).casefold() for text in (*PRODUCT, *context) if text]
    words = [*texts, *(word for text in texts for word in re.split(r"[\W_]+", text) if len(word) > 2)]
    _LISTS.keep()
    guesses = await asyncio.get_running_loop().run_in_executor(THREADS, _guesses, password, words)
    if guesses < FEWEST_GUESSES:
        raise InvalidValue(
            pointer,
            "guessable-password",
            "This password is easy to guess: it is a known one, or it consists of names, repetitions or adjacent keys."
            " Choose another, such as four unrelated words.",
        )


def _guesses(password: str, words: list[str]) -> float:
    typed = normal(password)
    rest = re.sub("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)), "", typed.casefold())
    if len(re.sub(r"[\W_]+", "", rest)) < FEWEST_OWN and rest != typed.casefold():
        return 0
    return float(_LISTS.read()(typed[:JUDGED], user_inputs=words)["guesses"])
