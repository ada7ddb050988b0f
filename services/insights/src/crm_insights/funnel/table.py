"""The stages of the funnel as CSV, for spreadsheets."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from crm_kit.records.answers import READ_HEADERS, matches

COLUMNS = (
    *("position", "stage", "stage_id", "deleted", "entered", "advanced", "conversion", "open", "won", "lost"),
    *("estimated_value", "weighted_value", "currency", "average_seconds", "median_seconds"),
)
EXAMPLE = (
    f"{','.join(COLUMNS)}\r\n"
    "1,qualify,01a22eec-3a5b-749f-a3d6-0c222d1a531b,false,12,12,100.0,0,"
    "2,0,0.00,0.00,EUR,1.365,1.557\r\n"
)
"""For OpenAPI."""


def wants_table(format_: str | None, accept: str | None) -> bool:
    """Whether the caller asked for CSV. A ``format`` parameter overrides the Accept header."""
    if format_ is not None:
        return format_ == "csv"
    return accept is not None and "text/csv" in accept and "application/json" not in accept


def as_table(stages: Sequence[Mapping[str, Any]], request: Request) -> Response:
    """Return 200 with a line per stage, or 304 if the caller already has these lines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for stage in stages:
        writer.writerow([_cell(value) for value in _flat(stage)])
    body = text.getvalue().encode()
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"etag": etag, **READ_HEADERS}
    if matches(request.headers.get("if-none-match"), etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    headers["content-disposition"] = 'attachment; filename="funnel.csv"'
    return Response(body, 200, headers, "text/csv; charset=utf-8; header=present")


def _flat(stage: Mapping[str, Any]) -> list[Any]:
    estimated, weighted = stage["estimated_value"], stage["weighted_value"]
    values = {
        **stage,
        "estimated_value": estimated["amount"],
        "weighted_value": weighted["amount"],
        "currency": estimated["currency"],
        "deleted": str(stage["deleted"]).lower(),
    }
    return [values[column] for column in COLUMNS]


def _cell(value: Any) -> Any:
    # A spreadsheet would execute a cell that starts like a formula (OWASP: CSV injection).
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
