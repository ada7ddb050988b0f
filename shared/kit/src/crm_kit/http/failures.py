"""What an exception means to the caller, as the answer that the caller gets."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from crm_kit.errors import DomainError
from crm_kit.http.problems import from_validation, problem
from crm_kit.signals.telemetry import trace_id_of
from crm_kit.work.announcing import Cause


def answer_to(error: Exception, request: Request) -> Response:
    """The problem that an exception becomes. An exception that nobody foresaw is raised again."""
    found = domain_error(error)
    if found is None:
        raise error
    cause: Cause = request.scope["crm.cause"]
    return problem(found, request.url.path, trace_id(cause))


def trace_id(cause: Cause) -> str:
    """The trace id inside a traceparent (W3C Trace Context)."""
    return trace_id_of(cause.traceparent)


def domain_error(error: BaseException) -> DomainError | None:
    """What an exception means to the caller; None for one that nobody foresaw."""
    match error:
        case DomainError():
            return error
        case RequestValidationError():
            return from_validation(error)
        case PoolTimeout():
            return DomainError("unavailable", "The service is busy. Try again.")
        case TimeoutError():
            return DomainError("deadline-exceeded", "The request took longer than its deadline.")
        case DBAPIError():
            return _database_error(error)
        case OSError():
            return DomainError("unavailable", "The database cannot be reached; try again.")
    return None


def _database_error(error: DBAPIError) -> DomainError | None:
    state = getattr(error.orig, "sqlstate", None)
    if (
        error.connection_invalidated
        or isinstance(error, InterfaceError)
        or ((state or "08")[:2] in ("08", "53", "57") and state != "57014")
    ):
        return DomainError("unavailable", "The database cannot be reached; try again.")
    match state:
        case "57014":
            return DomainError("deadline-exceeded", "The request took longer than its deadline.")
        case "55P03" | "40001" | "40P01":
            return DomainError("unavailable", "Other requests are changing the same record. Try again.")
        case "23505":
            return DomainError(
                "already-exists", "Send another value: a record with this one exists, and it must be unique."
            )
        case "23503":
            return DomainError("in-use", "Other records refer to this one. Change or delete them first.")
    return None
