"""By when a request is answered, and what it means that it is out of time."""

from typing import Final

from fastapi import Request

from crm_kit.errors import DomainError
from crm_kit.store.outages import ran_out_of_time
from crm_kit.work.uow import UnitOfWork

SAFE = ("GET", "HEAD")
ANSWERING_PART: Final = 0.9
"""The part of a hop after which a read is answered in any case; what it does in the database ends before that."""
SMALLER: Final = "Ask for less at a time, or try again when less is going on."


def late(request: Request, error: Exception) -> DomainError | None:
    """What it means that a request is out of time, where that is more than that it is not known whether it took effect."""
    uow: UnitOfWork | None = request.scope.get("crm.uow")
    if uow is None or not uow.link.has_asked or not (isinstance(error, TimeoutError) or ran_out_of_time(error)):
        return None
    if uow.link.stands_in_line:
        return uow.reads.too_late(SMALLER)
    ours = ran_out_of_time(error) or seconds_for(request) >= uow.runtime.settings.hop_seconds * ANSWERING_PART
    return uow.reads.too_late(SMALLER) if request.method in SAFE and ours else None


def seconds_for(request: Request) -> float:
    """What is left of the caller's deadline, at most one hop; a read ends early enough to say so. Uploads have an idle limit
    instead."""
    hop: float = request.app.state.runtime.settings.hop_seconds
    longest = hop * ANSWERING_PART if request.method in SAFE else hop
    left = request.headers.get("crm-deadline-ms")
    if left is None:
        return longest
    if not left.isdecimal() or len(left) > 9:
        raise DomainError("invalid-header", "Send Crm-Deadline-Ms as a number of milliseconds.")
    return min(longest, int(left) / 1000)
