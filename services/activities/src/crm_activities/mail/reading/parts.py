"""The tree of the parts of a message (RFC 2046).

The standard library's parser is not used: it has to write a forwarded message anew to give its bytes, and recurses once for each
level that a sender nests. This one keeps positions in the message, and its depth and the number of parts are bounded.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from crm_activities.mail.reading.headers import Headers, split_head
from crm_activities.mail.reading.parameters import Valued, valued
from crm_activities.mail.reading.transfer import decoded

DEEPEST: Final = 20
MOST_PARTS: Final = 500
_FIRST_DELIMITER: Final = re.compile(rb"(?m)^--([^\s].{0,200}?)[ \t]*\r?$")


@dataclass(slots=True)
class Part:
    """A part with its head. A multipart has ``parts``, any other has ``content``: its bytes, decoded."""

    headers: Headers
    type: Valued
    disposition: Valued
    content: bytes = b""
    parts: list["Part"] = field(default_factory=list)

    @property
    def is_multipart(self) -> bool:
        """Whether the part consists of parts."""
        return bool(self.parts)

    @property
    def filename(self) -> str:
        """The name of its file as it was sent; empty without one."""
        return self.disposition.parameters.get("filename", "") or self.type.parameters.get("name", "")

    @property
    def content_id(self) -> str:
        """Its Content-ID without angle brackets; empty without one."""
        return self.headers.first("content-id").strip().strip("<>").strip()


@dataclass(slots=True)
class Splitter:
    """Cuts one message into parts, and counts them."""

    data: bytes
    warnings: list[str]
    count: int = 0

    def message(self) -> tuple[Part, int]:
        """Return the message as a part, and where its body begins."""
        headers, body = split_head(self.data, 0, len(self.data), self.warnings)
        return self._part(headers, body, len(self.data), 0, "text/plain"), body

    def _part(self, headers: Headers, start: int, end: int, depth: int, usual: str) -> Part:
        self.count += 1
        kind = valued(headers.first("content-type") or usual, self.warnings)
        if "/" not in kind.value:
            kind = Valued({"text": "text/plain", "html": "text/html"}.get(kind.value, usual), kind.parameters)
        part = Part(headers, kind, valued(headers.first("content-disposition"), self.warnings))
        if kind.value.startswith("multipart/"):
            if depth < DEEPEST and self.count < MOST_PARTS:
                child = "message/rfc822" if kind.value == "multipart/digest" else "text/plain"
                part.parts = self._parts(kind.parameters.get("boundary", ""), start, end, depth, child)
            else:
                self.warnings.append("too many parts, or nested too deep")
            if not part.parts:
                part.type = Valued("text/plain", kind.parameters)
        if not part.parts:
            encoding = headers.first("content-transfer-encoding")
            part.content = decoded(self.data[start:end], encoding, self.warnings)
        return part

    def _parts(self, boundary: str, start: int, end: int, depth: int, usual: str) -> list[Part]:
        spans = self._spans(boundary.rstrip().encode("utf-8", "replace"), start, end) if boundary.strip() else []
        if not spans:
            guess = _FIRST_DELIMITER.search(self.data, start, end)
            if guess is None:
                self.warnings.append("a multipart without parts")
                return []
            self.warnings.append("a boundary is missing or wrong")
            spans = self._spans(guess.group(1).rstrip(), start, end)
        found = []
        for left, right in spans:
            if self.count >= MOST_PARTS:
                self.warnings.append("too many parts, or nested too deep")
                break
            headers, body = split_head(self.data, left, right, self.warnings)
            found.append(self._part(headers, min(body, right), right, depth + 1, usual))
        return found

    def _spans(self, boundary: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """Return where the parts between delimiters begin and end."""
        delimiter = re.compile(rb"(?m)^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?(?:\n|\Z)")
        spans: list[tuple[int, int]] = []
        opened: int | None = None
        for mark in delimiter.finditer(self.data, start, end):
            if opened is not None:
                spans.append((opened, self._before(mark.start(), opened)))
            opened = None if mark.group(1) else mark.end()
            if opened is None or len(spans) >= MOST_PARTS:
                break
        if opened is not None:
            self.warnings.append("a multipart has no end")
            spans.append((opened, end))
        return spans

    def _before(self, at: int, floor: int) -> int:
        """The end of a part: the line break before a delimiter belongs to the delimiter."""
        if at > floor and self.data[at - 1 : at] == b"\n":
            at -= 1
        if at > floor and self.data[at - 1 : at] == b"\r":
            at -= 1
        return at
