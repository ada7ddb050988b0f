"""The file of a request, alone or in a form (RFC 7578), passed on while it arrives. Nothing is written to a temporary file."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from crm_contracts.sentences import Sentence, said
from crm_kit.errors import DomainError

FIELD: Final = "file"
"""The name of the part with the file. Other parts are ignored."""
MOST_HEADER_BYTES: Final = 16 * 1024
"""Bytes of the headers of one part."""


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Return the body of a request while it arrives. Raises 400 ``invalid-request`` if its sender hangs up."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise DomainError("invalid-request", "The file broke off before its end. Send it again.") from None


class FileForm:
    """Reads the part ``file`` of a form."""

    def __init__(self, request: Request) -> None:
        """Raises 400 ``invalid-request`` if the form has no boundary."""
        _, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= 200:
            raise _broken(said("its Content-Type has no boundary"))
        self._stream = body_of(request)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._header_ended,
                "on_headers_finished": self._headers_ended,
                "on_part_data": self._on_data,
                "on_part_end": self._ended,
                "on_end": self._over,
            },
        )
        self._pieces: deque[bytes] = deque()
        self._field, self._value = b"", b""
        self._is_file = self._found = self._complete = self._finished = False
        self._headers: dict[bytes, bytes] = {}
        self.name: str | None = None
        """The name of the file as it was sent; known after ``open``."""

    async def open(self) -> AsyncIterator[bytes]:
        """Read up to the file, and return its content. Raises 400 ``invalid-request``."""
        while not self._found:
            if not await self._more():
                raise DomainError(
                    "invalid-request", said("Send the file as the part {field!r} of the form.", field=FIELD)
                )
        return self._content()

    async def _content(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if not await self._more():
                break
        while self._pieces:
            yield self._pieces.popleft()
        if not (self._complete and self._finished):
            raise _broken(said("it is not complete"))

    async def _more(self) -> bool:
        """Parse the next piece of the body. Returns whether there was one."""
        async for chunk in self._stream:
            if chunk:
                try:
                    self._parser.write(chunk)
                except MultipartParseError as error:
                    raise _broken(said("it breaks RFC 7578")) from error
                return True
        return False

    def _begin(self) -> None:
        self._headers, self._is_file = {}, False

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._bound()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound()

    def _bound(self) -> None:
        if len(self._field) + len(self._value) > MOST_HEADER_BYTES or len(self._headers) > 20:
            raise _broken(said("the headers of a part are too large"))

    def _header_ended(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_ended(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") == FIELD.encode() and not self._found:
            self._is_file = self._found = True
            name = options.get(b"filename")
            self.name = None if name is None else name.decode(errors="replace")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])

    def _ended(self) -> None:
        self._complete = self._complete or self._is_file

    def _over(self) -> None:
        self._finished = True


def _broken(reason: Sentence) -> DomainError:
    return DomainError(
        "invalid-request", said("The form cannot be read: {reason}. Send multipart/form-data.", reason=reason)
    )
