"""Responses with values that are computed from events, such as figures and progress.

These values are not part of a record, its events or its ETag, so the responses have an ETag of their own.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from crm_kit.records.answers import READ_HEADERS, matches
from crm_kit.store.presenter import to_json
from crm_kit.work.uow import UnitOfWork


def computed(uow: UnitOfWork, values: Mapping[str, Any], request: Request) -> Response:
    """Return 200 with the values and ``as_of``, the instant at which they were read, or 304 if ``If-None-Match`` has their ETag.

    The ETag is weak, because two answers with the same values differ in ``as_of``.
    """
    etag = f'W/"{hashlib.sha256(to_json(values)).hexdigest()[:16]}"'
    headers = {"etag": etag, **READ_HEADERS}
    if matches(request.headers.get("if-none-match"), etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Response(to_json({**values, "as_of": uow.now}), 200, headers, "application/json")
