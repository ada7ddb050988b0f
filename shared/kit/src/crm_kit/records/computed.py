"""Values that follow from events: figures, progress. Not in a record, its events or its ETag, so they have their own."""

import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from crm_kit.records.answers import READ_HEADERS, matches
from crm_kit.store.presenter import to_json
from crm_kit.work.uow import UnitOfWork


def computed(uow: UnitOfWork, values: Mapping[str, Any], request: Request) -> Response:
    """200 with the values and ``as_of``, the instant they were read; 304 when they are what the caller saw last.

    The ETag is weak: two answers with the same values differ in ``as_of``.
    """
    etag = f'W/"{hashlib.sha256(to_json(values)).hexdigest()[:16]}"'
    headers = {"etag": etag, **READ_HEADERS}
    if matches(request.headers.get("if-none-match"), etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Response(to_json({**values, "as_of": uow.now}), 200, headers, "application/json")
