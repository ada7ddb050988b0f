"""What a problem's ``type`` leads to: a page for people, JSON for programs."""

import html
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_gateway.documents.openapi import merged
from crm_kit.errors import DomainError
from crm_kit.http.problems import STATUS, status_of
from crm_kit.http.requests import PublicRoute
from crm_kit.store.presenter import to_json

EXPLAINED: Final = {
    "invalid-json": "The body is not JSON, or nested deeper than 32 levels.",
    "invalid-parameter": "A query parameter has a wrong value; `errors` names it and says what is allowed.",
    "invalid-filter": "A filter names an unknown field or operator, or a value of the wrong type, or is too large; the detail"
    " lists what is allowed.",
    "invalid-cursor": "The cursor was altered, or belongs to another list, filter, sort order or caller. Start again without"
    " `after`.",
    "invalid-header": "A header cannot be read; the detail says which.",
    "invalid-idempotency-key": "An Idempotency-Key is 1 to 255 visible ASCII characters.",
    "invalid-request": "The request cannot be understood.",
    "invalid-grant": "The password, refresh token or client secret is wrong, used up or expired (RFC 6749 §5.2).",
    "invalid-client": "The client is not known, or its secret is wrong (RFC 6749 §5.2).",
    "token-missing": "Send `Authorization: Bearer <token>`; `POST /api/v1/auth/token` issues one.",
    "token-invalid": "The access token cannot be read, is not ours, or its signature is wrong.",
    "token-expired": "Access tokens live ten minutes; get a new one with the refresh token.",
    "token-superseded": "Your rights, your password or the state of your account has changed since the token was issued. Get"
    " a new one with the refresh token; where that is refused, log in again.",
    "forbidden": "None of your security roles allows this, or not for this record. `detail` names the privilege that it takes;"
    " ask an administrator for a role that has it.",
    "not-found": "There is no such path or record, or you may not see it: the two are not told apart.",
    "method-not-allowed": "The path has no such method.",
    "not-acceptable": "There is no representation of a type that you accept.",
    "request-timeout": "The head of a request has 10 seconds to arrive, and so has its body; a file needs 1 KiB a second. Send it"
    " in one piece, over a faster connection.",
    "illegal-transition": "The record's status has no such move; `allowed` lists those it has."
    " `GET /api/v1/meta/state-machines` shows them all.",
    "possible-duplicates": "Records with the same email, phone or a similar name exist; the problem lists them. Use one, or go"
    " on: with `allow_duplicates: true` where a command makes customers, else with `duplicates=allow`.",
    "in-progress": "A request with the same Idempotency-Key is still being carried out. Send it again in a moment.",
    "in-use": "Other records refer to this one; the problem lists them.",
    "not-deletable": "A record that has become business is not deleted.",
    "unfinished-business": "What belongs to the record is not finished, and would be forgotten; the problem lists it. Finish it,"
    " or go on with `force: true`.",
    "last-administrator": "Somebody must be left who can administer the organisation.",
    "already-exists": "Another record has this value already, and it must be unique.",
    "already-ordered": "A quote becomes an order once; the problem names the order.",
    "merged": "The record was merged into another; the problem links the survivor.",
    "stale": "The record has changed since you read it. Read it again, decide again, and send its new ETag in If-Match.",
    "body-too-large": "A body is at most 1 MiB; imports and files may be larger.",
    "unsupported-media-type": "Send application/json, or application/merge-patch+json in a PATCH, and no Content-Encoding.",
    "if-match-required": "Send If-Match with the record's ETag, or `*` to overwrite whatever is there.",
    "head-too-large": "The request line and the header fields are at most 64 KiB and 100 fields.",
    "too-many-requests": "You send more than your share, in a second or at a time. Wait for the seconds in Retry-After; the"
    " RateLimit headers tell what remains of the second's.",
    "account-locked": "Too many log-ins under this name failed, so none is heard until the seconds in Retry-After have"
    " passed. An administrator unlocks it with a new password (`reset-password`).",
    "internal-error": "A fault of ours. Give our operators the `trace_id`.",
    "upstream-failed": "A service gave an answer that makes no sense.",
    "not-yet-projected": "The service has not heard of the versions in Crm-After within two seconds. Try again; with code"
    " `parked`, tell our operators.",
    "unavailable": "A service, or its database, is down or busy. Try again after the seconds in Retry-After; a POST safely so"
    " with an Idempotency-Key.",
    "deadline-exceeded": "The answer took longer than it may. It is not known whether the request has taken effect: send it"
    " again with the same Idempotency-Key, or read the record.",
    "validation": "The body breaks the rules of its schema; `errors` points at each place.",
    "read-only-field": "The body sets a field that only the system or a command sets.",
    "unknown-reference": "A reference points at a record that does not exist, or that you may not read. For one made a moment"
    " ago in another service, send its `Crm-Version` as `Crm-After`.",
    "inactive-reference": "An inactive record takes no new reference; activate it first.",
    "unknown-reason": "The command takes other reasons; the message lists them.",
    "idempotency-key-reused": "The Idempotency-Key was used for another body in the last 24 hours.",
    "too-expensive": "This would take longer than a request may. `detail` says what to leave out. For a list: filter by `status`,"
    " `owner_id` or `created_at` as well, look for longer pieces of text, or leave out `count=exact`.",
    "guessable-password": "The password is easy to guess: it is common, repeats itself, or is made of your name, your address"
    " or the organisation's name. Choose several unrelated words.",
    "too-large": "The record's event would be larger than 1 MiB; shorten the field that the problem names.",
}
"""Problems that any operation may have. Rules of a single operation are explained in its description."""

SLUG: Final = re.compile(r"[a-z][a-z-]{1,63}")

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>HTTP status {status}. {explanation}</p>{operations}
<p><a href="/docs">API documentation</a></p></body></html>
"""
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "public, max-age=300",
    "vary": "Accept",
}

router = APIRouter(include_in_schema=False, route_class=PublicRoute)


@router.get("/problems/{slug}")
async def explain(slug: str, request: Request) -> Response:
    """One problem type: its meaning, and the operations whose descriptions name it."""
    if not SLUG.fullmatch(slug):
        raise DomainError("not-found", "There is no such problem.")
    body, _, _ = await merged(request)
    operations = sorted(_naming(slug, orjson.loads(body)))
    explanation = EXPLAINED.get(slug)
    if explanation is None and slug not in STATUS and not operations:
        raise DomainError("not-found", "No operation is known to have this problem.")
    title = slug.replace("-", " ").capitalize()
    explanation = (
        explanation or "A rule of the operations below; the answer's `detail` and `errors` say what and where."
    )
    if "text/html" not in request.headers.get("accept", ""):
        told = {
            "type": f"/problems/{slug}",
            "title": title,
            "status": status_of(slug),
            "description": explanation,
            "operations": [{"operation": name, "description": text} for name, text in operations],
        }
        return Response(to_json(told), headers=HEADERS, media_type="application/json")
    listed = "".join(f"<li><b>{html.escape(name)}</b> {html.escape(text)}</li>" for name, text in operations)
    page = PAGE.format(
        title=html.escape(title),
        status=status_of(slug),
        explanation=html.escape(explanation),
        operations=f"<ul>{listed}</ul>" if listed else "",
    )
    return Response(page, headers=HEADERS, media_type="text/html")


def _naming(slug: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            text = operation.get("description", "") if isinstance(operation, dict) else ""
            if f"`{slug}`" in text:
                yield f"{method.upper()} {path}", text
