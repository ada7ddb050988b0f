"""What If-Match says (RFC 9110)."""

import re
from uuid import UUID

from fastapi import Request

from crm_kit.errors import DomainError
from crm_kit.work.condition import Condition

ETAG = re.compile(r'"(\d{1,10})"')
ETAGS = re.compile(r'\s*(W/)?"[^"]*"\s*(,\s*(W/)?"[^"]*"\s*)*')


def condition_of(request: Request, *, required: bool) -> Condition | None:
    """What If-Match says of the record that the path names; a path without one, such as that of a create, has none."""
    header = request.headers.get("if-match")
    if header is None:
        if required:
            raise DomainError("if-match-required", 'Send If-Match with the record\'s ETag, or "*" to overwrite.')
        return None
    versions = None if header.strip() == "*" else _versions(header)
    first = next(iter(request.path_params.values()), None)
    named = first if isinstance(first, UUID) else None
    return Condition(named, versions) if required or named is not None else None


def _versions(header: str) -> frozenset[int]:
    if not ETAGS.fullmatch(header):
        raise DomainError("invalid-header", 'Send If-Match as a list of ETags such as "3", or as *.')
    # A weak tag never matches under the strong comparison that If-Match asks for (RFC 9110 §13.1.1).
    return frozenset(
        int(tag) for weak, tag in re.findall(r'(W/)?"([^"]*)"', header) if not weak and ETAG.fullmatch(f'"{tag}"')
    )
