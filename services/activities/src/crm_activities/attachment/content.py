"""The content of a file as an answer: saved, never shown by a browser, whole or in part."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from crm_activities.attachment.model import Attachment
from crm_activities.files.names import disposition
from crm_activities.files.opening import storage_of
from crm_activities.files.ranges import Span, Unsatisfiable, span_of
from crm_activities.files.storage import Missing, Storage, key_of
from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.http.failures import trace_id
from crm_kit.http.heads import HEAD
from crm_kit.http.problems import problem
from crm_kit.process.runtime import Runtime
from crm_kit.records.answers import matches

log = structlog.get_logger(__name__)

HARMLESS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    # What passes between is not to code it: the ETag and the ranges are those of the file.
    "cache-control": "private, no-cache, no-transform",
    "vary": "Authorization",
}
"""Headers that keep a browser from running what somebody uploaded."""


async def content_of(request: Request, runtime: Runtime, attachment: Attachment) -> Response:
    """Return the answer to GET of a file: 200, 206 for a range, 304 or 416 (RFC 9110 §13 and §14).

    Raises 404 ``not-found`` if the storage has lost the file.
    """
    etag = f'"{attachment.sha256}"'
    headers = {**HARMLESS, "etag": etag}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    headers |= {"accept-ranges": "bytes", "content-disposition": disposition(attachment.name)}
    try:
        part = span_of(_range(request, etag), attachment.size)
    except Unsatisfiable:
        message = said("Ask for bytes below {size}, which is the size of the file.", size=attachment.size)
        refusal = DomainError("range-not-satisfiable", message)
        answer = problem(refusal, request.url.path, trace_id(request.scope["crm.cause"]))
        answer.headers["content-range"] = f"bytes */{attachment.size}"
        return answer
    span = part or Span(0, attachment.size)
    if part is not None:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{attachment.size}"
    headers["content-length"] = str(span.length)
    # A charset would be a guess. The browser saves the file and does not read it.
    headers["content-type"] = attachment.media_type
    status, storage, key = 206 if part else 200, storage_of(runtime), key_of(attachment.file_key)
    if request.scope.get(HEAD):
        if not await storage.exists(key):
            raise lost()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(await _begun(storage, key, span), status, headers)


def _range(request: Request, etag: str) -> str | None:
    """Return the Range of a request, unless its If-Range names another state of the file (RFC 9110 §13.1.5)."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition is None or condition.strip() == etag else None


async def _begun(storage: Storage, key: str, span: Span) -> AsyncIterator[bytes]:
    """Return the content with its first piece read: a lost file is told before the answer begins."""
    pieces = storage.get(key, span.start, span.end)
    try:
        first = await anext(pieces, b"")
    except Missing:
        raise lost() from None
    except DomainError:
        raise
    except Exception as error:
        log.warning("files.unavailable", error=type(error).__name__, detail=str(error)[:500])
        raise DomainError("unavailable", "The file cannot be read now. Try again.") from error

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return rest()


def lost() -> DomainError:
    """Return the problem of a file that the storage does not have, as after a restore without its files."""
    return DomainError("not-found", "The storage does not have this file. Ask your operators to restore it.")
