"""What a request sends: its body, read within its bounds, and the number of its parameters."""

import asyncio
import hashlib
from typing import Final

from fastapi import Request
from starlette.types import Message

from crm_contracts.sentences import Choice, said
from crm_kit.errors import DomainError, FieldError, UnsupportedCoding
from crm_kit.http.bounded_json import parse_json
from crm_kit.process.memory import HOUSEKEEPER, LARGE

JSON_TYPES = ("application/json", "application/merge-patch+json")
FORM_BYTES: Final = 16 * 1024
"""A small form: names, passwords and tokens."""
FORM_TYPE = "application/x-www-form-urlencoded"
IDLE_SECONDS = 30.0
"""The longest pause within an upload."""
MAX_PARAMETERS: Final = 100
"""Query parameters, or fields of a form: a filter has at most 50 terms."""


def is_multipart(request: Request) -> bool:
    """Whether the body has parts, such as an upload."""
    return request.headers.get("content-type", "").lstrip().lower().startswith("multipart/")


async def read_body(request: Request, limit: int | None = None) -> bytes:
    """The body, at most ``limit`` bytes of it, else ``max_body_bytes``; counted while it arrives."""
    known: bytes | None = getattr(request, "_body", None)
    if known is not None:
        return known
    limit = request.app.state.runtime.settings.max_body_bytes if limit is None else limit
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _body_too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _body_too_large(limit)
        chunks.append(chunk)
    if size > LARGE:
        HOUSEKEEPER.tidy_soon()
    request._body = body = b"".join(chunks)
    return body


def _body_too_large(limit: int) -> DomainError:
    return DomainError(
        "body-too-large", said("Send a body of at most {limit} bytes.", limit=limit), members={"limit": limit}
    )


async def read_form(request: Request) -> None:
    """Read a small form, and refuse one of another type, of more than ``FORM_BYTES``, or with too many fields."""
    if is_multipart(request):  # another type makes an empty form, and the route says what is missing
        raise DomainError("unsupported-media-type", said("Send {wanted}.", wanted=FORM_TYPE))
    refuse_many(await read_body(request, FORM_BYTES), "form")


async def content_of(request: Request) -> bytes:
    """What a keyed request without JSON says: the digest of its form, or its body, which is mostly empty."""
    if not is_multipart(request):
        return await read_body(request)
    digest = hashlib.sha256()
    for name, value in (await request.form()).multi_items():
        digest.update(name.encode())
        if isinstance(value, str):
            digest.update(value.encode())
        else:
            while chunk := await value.read(1024 * 1024):
                digest.update(chunk)
            await value.seek(0)
    return digest.digest()


def bound_idleness(request: Request) -> None:
    """An upload has no deadline, but a sender that falls silent is dropped."""
    receive, seconds = request.receive, IDLE_SECONDS

    async def bounded() -> Message:
        async with asyncio.timeout(seconds):
            return await receive()

    request._receive = bounded


async def read_json(request: Request) -> bytes:
    """Read and parse a JSON body within its bounds; return its bytes, none if there is no body."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in JSON_TYPES and request.headers.get("content-length", "0") != "0":
        raise _not_json()
    body = await read_body(request)
    if body:
        if content_type not in JSON_TYPES:
            raise _not_json()
        # FastAPI takes the parsed body from here: it is parsed once, and by a parser that refuses NaN and lone surrogates.
        request._json = parse_json(body, request.app.state.runtime.settings.json_depth)
    return body


def _not_json() -> DomainError:
    return DomainError("unsupported-media-type", said("Send {wanted}.", wanted=Choice(*JSON_TYPES)))


def refuse_many(encoded: bytes, where: str) -> None:
    """Refuse a query string, or a form, of more parameters than any route takes."""
    if encoded.count(b"&") >= MAX_PARAMETERS:
        message = said("Send at most {most} parameters in the {where}.", most=MAX_PARAMETERS, where=where)
        raise DomainError("invalid-parameter", message, (FieldError(where, "too-many-parameters", message),))


def refuse_coded(request: Request) -> None:
    """Refuse a body with a content coding, whose content has no bound before it is decoded."""
    codings = request.headers.get("content-encoding", "")
    if any(coding.strip().lower() not in ("", "identity") for coding in codings.split(",")):
        raise UnsupportedCoding
