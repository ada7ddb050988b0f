"""What an attempt to deliver a mail means: whether it is over, is tried again and when, or nobody knows.

Before the content was sent, nothing was delivered, and the attempt may be repeated. After it was sent, only the answer of the
server says what happened (RFC 5321 §4.2.5, §4.5.4.1).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from crm_contracts.activities.email import DeliveryPhase

GIVE_UP: Final = timedelta(days=4)
"""How long a mail is tried (RFC 5321 §4.5.4.1: at least 4 to 5 days)."""
PAUSES: Final = tuple(timedelta(minutes=n) for n in (1, 5, 15, 30, 60, 120, 240))
"""The pauses after the first attempts; the last one after all others."""


class Fate(Enum):
    """What becomes of a mail after an attempt."""

    SENT = "sent"
    FAILED = "failed"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a mail server said in one attempt."""

    phase: DeliveryPhase
    """How far it came."""
    answer: str | None = None
    """The last answer, or why there was none."""
    code: int | None = None
    """The code of that answer; None without one."""
    taken: tuple[str, ...] = ()
    """Recipients for whom the server took the mail."""
    refused: tuple[tuple[str, str], ...] = ()
    """Recipients who were refused for good, with the answers."""
    deferred: tuple[str, ...] = ()
    """Recipients whom the server puts off."""
    silent: bool = False
    """Whether the content was sent and no answer came."""
    permanent: bool = False
    """Whether another attempt would fail as well."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done after an attempt."""

    fate: Fate
    again_at: datetime | None = None
    remaining: tuple[str, ...] = field(default=())
    """The recipients of the next attempt."""
    undelivered: tuple[tuple[str, str], ...] = field(default=())
    """Recipients who will not get the mail, with the answers: those of this attempt."""


def judge(
    attempt: Attempt,
    recipients: tuple[str, ...],
    *,
    attempts: int,
    queued_at: datetime,
    now: datetime,
    sent_before: bool,
) -> Verdict:
    """Return the verdict on an attempt for these recipients. ``sent_before`` says that an earlier one reached somebody."""
    if attempt.silent:
        return Verdict(Fate.UNCERTAIN, undelivered=attempt.refused)
    final = attempt.permanent or now - queued_at >= GIVE_UP
    settled = {*attempt.taken, *(address for address, _ in attempt.refused)}
    remaining = tuple(one for one in recipients if one not in settled)
    reached = bool(attempt.taken) or sent_before
    if remaining and not final:
        pause = PAUSES[min(attempts, len(PAUSES)) - 1]
        return Verdict(Fate.DEFERRED, now + pause, remaining, attempt.refused)
    answer = attempt.answer or "The mail server gave no answer."
    undelivered = (*attempt.refused, *((one, answer) for one in remaining))
    return Verdict(Fate.SENT if reached else Fate.FAILED, undelivered=undelivered)
