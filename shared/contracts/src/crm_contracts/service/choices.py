"""The closed lists of the fields of service management, shared by domain code, APIs and events."""

from enum import StrEnum


class CaseStatus(StrEnum):
    ACTIVE = "active"
    RESOLVED = "resolved"
    CANCELED = "canceled"


class CaseStatusReason(StrEnum):
    """active: the first four; resolved: the next two; canceled: the last two."""

    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    WAITING_FOR_DETAILS = "waiting_for_details"
    RESEARCHING = "researching"
    PROBLEM_SOLVED = "problem_solved"
    INFORMATION_PROVIDED = "information_provided"
    CANCELED = "canceled"
    MERGED = "merged"


class ResolutionKind(StrEnum):
    """How a case was resolved. It becomes the status reason."""

    PROBLEM_SOLVED = "problem_solved"
    INFORMATION_PROVIDED = "information_provided"


class CaseType(StrEnum):
    QUESTION = "question"
    PROBLEM = "problem"
    REQUEST = "request"
    COMPLAINT = "complaint"


class CaseOrigin(StrEnum):
    """The channel by which the customer contacted us."""

    PHONE = "phone"
    EMAIL = "email"
    WEB = "web"
    CHAT = "chat"
    VISIT = "visit"


class CasePriority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Severity(StrEnum):
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"
