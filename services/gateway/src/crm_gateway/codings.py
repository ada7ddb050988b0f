"""The content codings of answers: brotli or gzip, as the caller accepts (RFC 9110 §12.5.3).

Services answer uncoded; what leaves the gateway is coded here, piece by piece as it passes. A coded answer is another
representation, so its strong ETag is another one, too (RFC 9110 §8.8.3.3): `"3"` becomes `"3-br"`. The service gets its own
ETag back in If-Match and If-None-Match (ADR 71).
"""

import re
import zlib
from functools import lru_cache
from typing import Final, Protocol

import brotli
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES: Final = 2048
"""What is smaller gains nothing: with its headers it fits into two packets."""
LONGEST_ACCEPT: Final = 256
"""Bytes of an Accept-Encoding that is remembered."""
BROTLI_QUALITY: Final = 4
BROTLI_WINDOW: Final = 18
"""256 KiB of window, which bounds the memory of an answer under way."""
GZIP_LEVEL: Final = 5
BEST_BROTLI_QUALITY: Final = 9
BEST_GZIP_LEVEL: Final = 9
"""For bodies that are coded once. Brotli above 9 takes seconds for a document."""
CODING: Final = "crm_gateway.coding"
"""Where the scope of a request has the coding that the caller takes best, for answers that are kept coded."""

_CODABLE: Final = re.compile(
    rb"(?:text/(?!event-stream)|application/(?:[a-z0-9.-]+\+)?(?:json|xml|x-ndjson|javascript)\b|image/svg\+xml)",
    re.IGNORECASE,
)
_UNTOUCHED: Final = re.compile(rb"\b(?:no-store|no-transform)\b", re.IGNORECASE)
"""What is not stored holds secrets, whose length a coding beside text of others could tell (BREACH)."""
_BODILESS: Final = frozenset({204, 205, 206, 304})
_TAG: Final = re.compile(rb'-(?:br|gzip)"')
_VARY: Final = (b"vary", b"Accept-Encoding")


class Coder(Protocol):
    """Codes a body piece by piece."""

    def process(self, piece: bytes, /) -> bytes: ...

    def finish(self) -> bytes: ...


class Gzip:
    """gzip (RFC 1952)."""

    def __init__(self, level: int = GZIP_LEVEL) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, wbits=16 + zlib.MAX_WBITS)

    def process(self, piece: bytes, /) -> bytes:
        return self._deflate.compress(piece)

    def finish(self) -> bytes:
        return self._deflate.flush()


def _coder(coding: bytes) -> Coder:
    if coding == b"gzip":
        return Gzip()
    made: Coder = brotli.Compressor(brotli.MODE_TEXT, BROTLI_QUALITY, BROTLI_WINDOW)
    return made


def coded(body: bytes, coding: bytes) -> bytes:
    """Return a whole body in a coding, as small as an acceptable time allows."""
    if coding == b"gzip":
        deflate = Gzip(BEST_GZIP_LEVEL)
        return deflate.process(body) + deflate.finish()
    made: bytes = brotli.compress(body, brotli.MODE_TEXT, BEST_BROTLI_QUALITY)
    return made


class Codings:
    """Codes the answers of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accepted, asked, coded_tags = b"", b"", False
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted = accepted + b"," + value if accepted else value
            elif name in (b"if-match", b"if-none-match") and _TAG.search(value):
                coded_tags = True
                if name == b"if-none-match":
                    asked += value
        if coded_tags:
            scope["headers"] = [
                (name, _TAG.sub(b'"', value) if name in (b"if-match", b"if-none-match") else value)
                for name, value in scope["headers"]
            ]
        scope[CODING] = coding = chosen(accepted)
        await self._app(scope, receive, Answer(send, scope["method"], coding, asked))


class Answer:
    """An answer on its way to the caller. ``asked`` are the tags of coded answers that the caller has."""

    def __init__(self, send: Send, method: str, coding: bytes | None, asked: bytes) -> None:
        self._send, self._method, self._coding, self._asked = send, method, coding, asked
        self._coder: Coder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._coder is not None and message["type"] == "http.response.body":
            more = message.get("more_body", False)
            coded = self._coder.process(message.get("body", b""))
            message = {**message, "body": coded if more else coded + self._coder.finish()}
        await self._send(message)

    def _begin(self, message: Message) -> None:
        headers: list[tuple[bytes, bytes]] = list(message["headers"])
        known = {name.lower(): value for name, value in headers}
        status = message["status"]
        if status == 304:
            message["headers"] = [
                (name, self._asked_for(value) if name == b"etag" else value) for name, value in headers
            ]
            message["headers"].append(_VARY)
            return
        if (
            status in _BODILESS
            or b"content-encoding" in known
            or not _CODABLE.match(known.get(b"content-type", b""))
            or _UNTOUCHED.search(known.get(b"cache-control", b""))
        ):
            return
        length = known.get(b"content-length")
        coding = self._coding
        if coding is None or (length is not None and int(length) < LEAST_BYTES):
            message["headers"] = [*headers, _VARY]
            return
        message["headers"] = [
            (name, coded_tag(value, coding) if name.lower() == b"etag" else value)
            for name, value in headers
            if name.lower() not in (b"content-length", b"accept-ranges")
        ]
        message["headers"] += [_VARY, (b"content-encoding", coding)]
        if self._method != "HEAD":
            self._coder = _coder(coding)

    def _asked_for(self, tag: bytes) -> bytes:
        """Return the tag of the coded answer that the caller has, if it is of this version."""
        for coding in (b"br", b"gzip"):
            if (coded := coded_tag(tag, coding)) in self._asked:
                return coded
        return tag


def coded_tag(tag: bytes, coding: bytes) -> bytes:
    """Return the ETag of the coded answer. A weak one says nothing about bytes, and stays."""
    return tag if tag.startswith(b"W/") else tag[:-1] + b"-" + coding + b'"'


def chosen(accepted: bytes) -> bytes | None:
    """Return ``br`` or ``gzip``, as an Accept-Encoding weighs them; None where it takes neither, or prefers ``identity``."""
    return _remembered(accepted) if len(accepted) <= LONGEST_ACCEPT else _weighed(accepted)


def _weighed(accepted: bytes) -> bytes | None:
    weights: dict[bytes, float] = {}
    for part in accepted.split(b","):
        name, _, parameter = part.partition(b";")
        weights[name.strip().lower()] = _weight(parameter)
    others = weights.get(b"*", 0.0)
    best = max((b"br", b"gzip"), key=lambda coding: weights.get(coding, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get(b"identity", 0.0) else None


_remembered = lru_cache(maxsize=64)(_weighed)


def _weight(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip().lower() != b"q":
        return 1.0
    return float(value) if re.fullmatch(rb"\s*[01](?:\.[0-9]{0,3})?\s*", value) else 0.0
