"""Answers that are the same for everybody: coded once for each content coding, when somebody first asks for it (ADR 81)."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Mapping

from fastapi import Request
from fastapi.responses import Response

from crm_gateway.codings import CODING, LEAST_BYTES, coded, coded_tag
from crm_kit.records.answers import matches


class Kept:
    """A body with a strong ETag. ``read`` returns it; what it returns never changes."""

    def __init__(self, read: Callable[[], bytes], media_type: str, headers: Mapping[str, str]) -> None:
        self._read, self._media_type, self._headers = read, media_type, headers
        self._tag: str | None = None
        self._coded: dict[bytes, bytes] = {}
        self._coding = threading.Lock()

    async def answer(self, request: Request, headers: Mapping[str, str] | None = None) -> Response:
        """Return the answer in the coding that the caller takes best, or 304 if the caller has it."""
        coding: bytes | None = request.scope.get(CODING)
        body = await self._in(coding)
        tag = self.tag
        sent = {**self._headers, **(headers or {}), "vary": "Accept-Encoding"}
        # The tags of the request have no coding any more, and that of a 304 gets the caller's again.
        if matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers={**sent, "etag": tag})
        if coding in self._coded:
            sent["content-encoding"] = coding.decode()
            tag = coded_tag(tag.encode(), coding).decode()
        return Response(body, headers={**sent, "etag": tag}, media_type=self._media_type)

    @property
    def tag(self) -> str:
        """The ETag of the body as it is."""
        if self._tag is None:
            self._tag = f'"{hashlib.sha256(self._read()).hexdigest()[:32]}"'
        return self._tag

    async def _in(self, coding: bytes | None) -> bytes:
        if coding in self._coded:
            return self._coded[coding]
        body = self._read()
        if coding is None or len(body) < LEAST_BYTES:
            return body
        return await asyncio.to_thread(self._code, body, coding)

    def _code(self, body: bytes, coding: bytes) -> bytes:
        with self._coding:
            if coding not in self._coded:
                self._coded[coding] = coded(body, coding)
            return self._coded[coding]
